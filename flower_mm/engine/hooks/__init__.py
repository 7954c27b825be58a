"""Hooks of a training run. `flower_mm.engine` imports and registers them."""
