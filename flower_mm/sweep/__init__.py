"""Several configs, each with several seeds, trained and laid side by side."""
