"""Train several configs with several seeds and compare them."""
