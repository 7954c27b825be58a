"""A web page on this machine that classifies photos."""
