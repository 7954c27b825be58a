"""Kill a small training at chosen moments, resume it, and compare."""
