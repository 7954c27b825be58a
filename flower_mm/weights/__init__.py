"""Pretrained weights and checkpoints: download, safe reading, loading."""
