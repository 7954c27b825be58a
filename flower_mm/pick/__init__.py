"""Compare pretrained backbones by linear probes on one's own photos."""
