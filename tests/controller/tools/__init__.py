"""Builders in their real interpreters, on tiny real models."""
