"""A local web page that classifies photos."""
