"""One module per power source, on the contract in base.py."""
