"""A page on this machine that tells what a model makes of photos."""
