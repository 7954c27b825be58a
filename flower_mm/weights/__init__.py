"""Pretrained weights: where they live, how they get here, how they load."""
