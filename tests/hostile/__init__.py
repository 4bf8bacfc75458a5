"""Hostile inputs to everything that reads what others wrote: `./scripts/hostile --inputs 1000000 --seed 7`."""
