"""Colours by name, and how they vary from one flower to the next."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar('T')

NAMED = {
    'white': (0.95, 0.95, 0.92),
    'cream': (0.96, 0.90, 0.72),
    'yellow': (0.97, 0.84, 0.12),
    'gold': (0.93, 0.68, 0.08),
    'orange': (0.93, 0.48, 0.10),
    'salmon': (0.94, 0.55, 0.44),
    'pink': (0.94, 0.62, 0.73),
    'magenta': (0.83, 0.25, 0.52),
    'red': (0.80, 0.11, 0.13),
    'wine': (0.50, 0.07, 0.16),
    'lilac': (0.71, 0.58, 0.84),
    'violet': (0.45, 0.24, 0.62),
    'blue': (0.30, 0.42, 0.80),
    'brown': (0.36, 0.22, 0.12),
    'umber': (0.20, 0.12, 0.08),
    'tan': (0.72, 0.57, 0.38),
    'leaf': (0.27, 0.47, 0.16),
    'moss': (0.36, 0.45, 0.14),
    'sage': (0.45, 0.56, 0.38),
    'pine': (0.12, 0.30, 0.16),
    'lime': (0.55, 0.68, 0.22),
    'stone': (0.56, 0.54, 0.50),
    'slate': (0.34, 0.36, 0.40),
    'black': (0.08, 0.08, 0.09),
}
GREENS = ('leaf', 'moss', 'sage', 'pine', 'lime')


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def colour(
    rng: np.random.Generator, names: str | Sequence[str], vary: float = 0.05
) -> np.ndarray:
    """One of the named colours, a little lighter, darker, warmer, colder."""
    name = names if isinstance(names, str) else pick(rng, names)
    shift = rng.normal(0, vary, 3) * 0.6 + rng.normal(0, vary)
    return np.clip(np.array(NAMED[name]) + shift, 0.02, 1.0)


def mix(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """`one`, with a share of `other` in it."""
    return one + (other - one) * share
