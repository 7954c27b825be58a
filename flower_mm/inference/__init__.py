"""From best.pth and photos to classes, probabilities and heat maps."""
