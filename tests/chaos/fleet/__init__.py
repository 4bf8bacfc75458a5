"""A fleet of real processes that is hurt at random, and must come out whole."""
