"""The child process that runs inside a runtime's own environment (Python 3.8 and up)."""
