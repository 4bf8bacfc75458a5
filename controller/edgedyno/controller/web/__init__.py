"""Pages and templates of the service."""
