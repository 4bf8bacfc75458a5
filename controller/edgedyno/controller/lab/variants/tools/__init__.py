"""Builders that run in an interpreter of their own, with the standard library, numpy and their tool only."""
