"""What a dataset knows of its photos, in one piece of memory."""

import pickle
from array import array
from collections.abc import Iterable

import numpy as np


class PackedInfos:
    """Dictionaries of photos in the form that MMEngine gives to workers.

    MMEngine makes it from a list, which takes a kilobyte for each photo.
    """

    def __init__(self, infos: Iterable[dict]) -> None:
        self.bytes = bytearray()
        self.ends = array('q')
        for info in infos:
            self.bytes += pickle.dumps(info, protocol=4)
            self.ends.append(len(self.bytes))

    def __len__(self) -> int:
        return len(self.ends)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the bytes, and where each dictionary ends."""
        return (
            np.frombuffer(self.bytes, np.uint8),
            np.frombuffer(self.ends, np.int64),
        )
