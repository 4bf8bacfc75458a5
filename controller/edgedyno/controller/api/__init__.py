"""The HTTP API, as docs/architecture.md lists it."""
