"""Classify photos with a trained model."""
