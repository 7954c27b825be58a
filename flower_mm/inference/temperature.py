"""Temperature scaling: softmax of log p / T."""

import math

import numpy as np

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0


def log_probabilities(scores: np.ndarray) -> np.ndarray:
    # A float32 probability may be 0, whose logarithm is infinite.
    return np.log(np.maximum(scores.astype(float), 1e-12))


def rescaled(scores: np.ndarray, temperature: float) -> np.ndarray:
    """The probabilities (photos, classes) at another temperature."""
    return _softmax(log_probabilities(scores) / temperature)


def _softmax(logs: np.ndarray) -> np.ndarray:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def nll(labels: np.ndarray, scores: np.ndarray, temperature: float) -> float:
    """Mean negative log-likelihood of the labels at a temperature."""
    own = rescaled(scores, temperature)[np.arange(len(labels)), labels]
    return float(-log_probabilities(own).mean())


def best_temperature(labels: np.ndarray, scores: np.ndarray) -> float:
    """The temperature with the lowest negative log-likelihood.

    The loss is convex in 1/T, so that bisection of its slope finds it.
    """
    logs = log_probabilities(scores)
    own = logs[np.arange(len(labels)), labels].mean()
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    while high - low > 1e-3:
        middle = (low + high) / 2
        powers = _softmax(logs / math.exp(middle))
        if np.vdot(powers, logs) / len(logs) > own:  # overconfident
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
