"""Databases of released versions, and that this version still reads them."""
