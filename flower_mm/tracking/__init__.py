"""Show runs in MLflow, Weights & Biases, Aim or ClearML."""
