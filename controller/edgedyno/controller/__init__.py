"""The central side: the service at this level, the lab and the web pages below it."""
