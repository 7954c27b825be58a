"""Random draws as a function of (seed, epoch, photo).

Augmentations draw from three generators: Python's, numpy's and torch's. Each
photo gets all three seeded for itself and gives them back as they were, so
that neither the number of workers nor who asked before changes a photo, and
the model's own draws (dropout, mixup) do not depend on where photos are
loaded.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_generators(*key: int) -> None:
    """Seed Python's, numpy's and torch's CPU generator from `key`."""
    words = np.random.SeedSequence(key).generate_state(3, np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]) & 0xFFFFFFFF)
    # Not torch.manual_seed: in a worker that would queue a CUDA call for
    # each photo, for a device that is never opened there.
    torch.default_generator.manual_seed(int(words[2]))


@contextmanager
def drawing(*key: int) -> Iterator[None]:
    """Draw from generators seeded by `key`; leave the outer ones alone."""
    python, numpy = random.getstate(), np.random.get_state()
    tensor = torch.default_generator.get_state()
    seed_generators(*key)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.default_generator.set_state(tensor)
