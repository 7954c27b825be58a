"""Checks of a training run before its first iteration."""
