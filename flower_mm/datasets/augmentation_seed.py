"""Random augmentation parameters as a function of (seed, epoch, index).

Augmentations use the generators of Python, numpy and torch. All three are
seeded for each photo and restored afterwards. So neither the number of workers
nor the order of photos changes an augmentation, and the random numbers of the
model (dropout, mixup) are independent of the loading of photos.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_generators(*key: int) -> None:
    """Seed the generators of Python and numpy and torch's on the CPU."""
    words = np.random.SeedSequence(key).generate_state(3, np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]) & 0xFFFFFFFF)
    # torch.manual_seed would queue a CUDA call for each photo in a worker,
    # which never opens the device.
    torch.default_generator.manual_seed(int(words[2]))


@contextmanager
def drawing(*key: int) -> Iterator[None]:
    """Seed the generators by `key`, and restore them at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    tensor = torch.default_generator.get_state()
    seed_generators(*key)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.default_generator.set_state(tensor)
