"""Extensions of MMPretrain's models: memory format and precision."""
