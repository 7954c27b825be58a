"""Read photos in threads while the model computes, and batch its inputs."""

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from flower_mm.decoding import BadPhotoError
from flower_mm.errors import UserError
from flower_mm.inference.classifier import Unread
from flower_mm.inference.model import Network
from flower_mm.inference.photo_reader import Photo, PhotoReader, name_of

# A photo of 200 million pixels takes more than a gigabyte to read.
READERS = min(4, os.cpu_count() or 1)
# Random transforms use the generators of the process.
_DRAWING = threading.Lock()

Input = dict | Unread


class InputReader:
    """Makes the inputs of a network from photos.

    Args:
        network: The network with its pipeline.
        batch_size: Photos in a batch.
    """

    def __init__(self, network: Network, batch_size: int) -> None:
        self._network, self.batch_size = network, batch_size
        try:
            self._reader = PhotoReader(network.first)
        except UserError as error:
            raise UserError(f'{network.file}: {error}') from None

    def prepared(self, photo: Photo) -> dict:
        """Return the input of the model; raise BadPhotoError if unreadable."""
        pixels = self._reader.read(photo)
        with _DRAWING:
            return self._network.prepared(pixels)

    def batches(
        self, photos: Iterable[Photo]
    ) -> Generator[list[tuple[str, Input]], None, None]:
        """Yield photos in order, each with its name and its input.

        A batch has at most `batch_size` inputs; Unread stands for a photo that
        cannot be read.
        """
        photos = iter(photos)
        pool = ThreadPoolExecutor(READERS)
        batch, good = [], 0
        try:
            # One batch more than the model has.
            ahead = deque(
                pool.submit(self._read, photo)
                for photo in islice(photos, 2 * self.batch_size)
            )
            while ahead:
                item = ahead.popleft().result()
                ahead.extend(
                    pool.submit(self._read, photo)
                    for photo in islice(photos, 1)
                )
                batch.append(item)
                good += not isinstance(item[1], Unread)
                if good in (0, self.batch_size) or not ahead:
                    yield batch
                    batch, good = [], 0
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, photo: Photo) -> tuple[str, Input]:
        name = name_of(photo)
        try:
            return name, self.prepared(photo)
        except BadPhotoError as error:
            return name, Unread(name, str(error))
