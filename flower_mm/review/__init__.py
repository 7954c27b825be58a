"""A page to review the labels of a dataset."""
