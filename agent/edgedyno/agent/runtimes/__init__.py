"""One module per inference runtime, on the contract in base.py."""
