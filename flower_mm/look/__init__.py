"""Look at the photos of a dataset, and find similar ones."""
