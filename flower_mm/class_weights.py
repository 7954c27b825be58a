"""Weights of the classes in the loss, where the config has 'balanced'."""

from collections import Counter
from collections.abc import Iterable, Mapping

from flower_mm.annotations import list_of

BALANCED = 'balanced'


def balanced_weights(datasets: Iterable[Mapping], classes: int) -> list[float]:
    """Weights by which each class has the same share of the loss.

    Their mean over all photos is 1. A class without photos has weight 1.
    """
    labels = (
        line.rpartition(b' ')[2]
        for path in map(list_of, datasets)
        if path.is_file()
        for line in path.read_bytes().splitlines()
    )
    # The dataset reports lines without a label.
    counts = Counter(int(label) for label in labels if label.isdigit())
    share = counts.total() / max(1, len(counts))
    return [
        round(share / counts[label], 6) if counts[label] else 1.0
        for label in range(classes)
    ]
