"""Environments that are made on request: a catalogue of what to install, and the folders made from it."""
