"""Read a photo from a file, its bytes or memory, as validation would."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from PIL import Image

from flower_mm.datasets.load_photo import LoadPhoto, as_load_photo
from flower_mm.decoding import (
    FORMATS,
    BadPhotoError,
    open_photo,
    refusing,
    require_decodable,
    require_usable_size,
    require_whole,
    to_array,
    to_plain,
)
from flower_mm.errors import UserError, printable
from flower_mm.photo_bytes import read_bytes


@dataclass(frozen=True)
class Source:
    """A photo whose bytes are read when it is needed."""

    name: str
    read: Callable[[], bytes]


Photo = str | os.PathLike | Source | bytes | Image.Image | np.ndarray


class PhotoReader:
    """Reads the pixels of a photo as the validation pipeline would.

    Args:
        step: The first step of the pipeline, which reads files.
    """

    def __init__(self, step: object) -> None:
        step = as_load_photo(step)
        if type(step) is not LoadPhoto:
            raise UserError(
                'invalid test pipeline: expected LoadImageFromFile as its '
                f'first step, got {type(step).__name__}'
            )
        self._step = step

    def read(
        self, photo: Photo, formats: Collection[str] = FORMATS
    ) -> np.ndarray:
        """Decode a photo.

        Args:
            photo: A file, its bytes, or an image in memory.
            formats: Pillow's names of the accepted file formats.

        Returns:
            (h, w, 3) in the order blue, green, red.
        """
        if isinstance(photo, np.ndarray):
            photo = _as_image(photo)
        if isinstance(photo, Image.Image):
            with refusing(b''):
                return self._of_image(photo)
        data = _bytes_of(photo)
        with refusing(data, formats), open_photo(data, formats) as image:
            require_usable_size(image.size)
            require_whole(image)
        return self._step.decode(data, formats=formats)

    def _of_image(self, image: Image.Image) -> np.ndarray:
        require_decodable(image)
        require_usable_size(image.size)
        pixels = to_array(to_plain(image), self._step.color_type)
        return pixels.astype(np.float32) if self._step.to_float32 else pixels


def name_of(photo: Photo) -> str:
    if isinstance(photo, Source):
        return photo.name
    return os.fspath(photo) if isinstance(photo, str | os.PathLike) else ''


def _bytes_of(photo: str | os.PathLike | Source | bytes) -> bytes:
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, Source):
        return photo.read()
    if not isinstance(photo, str | os.PathLike):
        raise TypeError(
            'invalid photo: expected a path, a PIL image, the bytes of a file '
            f'or an array, got {type(photo).__name__}; Classifier.each takes '
            'iterables'
        )
    path = os.fspath(photo)
    if os.path.isdir(path):  # noqa: PTH112  Path raises for some names
        raise BadPhotoError('a folder: name the photos in it')
    return read_bytes(path)


def _as_image(pixels: np.ndarray) -> Image.Image:
    """Convert an array of grey or of red, green, blue (, alpha)."""
    if pixels.dtype != np.uint8 or (
        pixels.ndim != 2
        and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    ):
        shape = ' x '.join(map(str, pixels.shape))
        raise BadPhotoError(
            'invalid array: expected uint8, height x width x 3 in the order '
            f'red, green, blue, got {shape} in {pixels.dtype}'
        )
    return Image.fromarray(pixels)


def photo_error(name: str, error: object) -> str:
    """Return one line about a photo that cannot be read."""
    return printable(f'{name}: {error}' if name else f'{error}', 300)
