"""The members of groups that are given as one number for each photo."""

from collections.abc import Iterator

import numpy as np


def runs(order: np.ndarray, keys: np.ndarray) -> Iterator[list[int]]:
    """Yield the indices of each key that several have, in their order."""
    order = order[np.argsort(keys[order], kind='stable')]
    keys = keys[order]
    ends = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    begins = np.append(0, ends)
    ends = np.append(ends, len(order))
    for k in np.flatnonzero(ends - begins > 1):
        yield order[begins[k] : ends[k]].tolist()


def members_of(numbers: np.ndarray) -> Iterator[list[int]]:
    """Yield the indices of each group of two or more, by their first one."""
    everyone = np.arange(len(numbers))
    yield from sorted(runs(everyone, numbers))
