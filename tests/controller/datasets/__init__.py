"""Data sets: every format read alike, every mistake counted and placed."""
