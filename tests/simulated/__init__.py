"""Boards by the hundred in one process: the real protocol over real connections, without measuring anything.

They are stand-ins for boards: `tests/` and `benchmarks/` use them, nothing that a user runs does. Their results are
copies of one record.
"""
