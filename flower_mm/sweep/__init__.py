"""Several configs with several seeds, trained and compared."""
