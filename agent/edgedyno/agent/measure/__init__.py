"""Plan, race and supervise trials; knows nothing of the network."""
