"""A photo from anywhere, as it would lie in a prepared dataset."""

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
    read_bytes,
    refusing,
    require_decodable,
    require_usable_size,
    require_whole,
    to_array,
    to_plain,
)
from flower_mm.errors import UserError, printable


@dataclass(frozen=True)
class Source:
    """Where the bytes of a photo come from when it is its turn."""

    name: str
    read: Callable[[], bytes]


Photo = str | os.PathLike | Source | bytes | Image.Image | np.ndarray


class PhotoReader:
    """Makes of a photo the pixels that validation would have seen.

    Args:
        step: The first one of the validation's pipeline, which reads files.
    """

    def __init__(self, step: object) -> None:
        step = as_load_photo(step)
        if type(step) is not LoadPhoto:
            raise UserError(
                f'its pipeline begins with {type(step).__name__}, which '
                'reads datasets only; LoadImageFromFile reads photos'
            )
        self._step = step

    def read(
        self, photo: Photo, formats: Collection[str] = FORMATS
    ) -> np.ndarray:
        """Decode a photo.

        Args:
            photo: A file, its bytes, or a picture in memory.
            formats: Pillow's names of those that a file may have.

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
            'a photo is a path, a PIL image, the bytes of a file or an '
            f'array, not a {type(photo).__name__}; photos that come one by '
            'one are for Classifier.each'
        )
    path = os.fspath(photo)
    if os.path.isdir(path):  # noqa: PTH112  Path raises for some names
        raise BadPhotoError('a folder; name the photos in it')
    return read_bytes(path)


def _as_image(pixels: np.ndarray) -> Image.Image:
    """An array as a picture: 8 bit, grey or in red, green, blue (, alpha)."""
    if pixels.dtype != np.uint8 or (
        pixels.ndim != 2
        and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    ):
        shape = ' x '.join(map(str, pixels.shape))
        raise BadPhotoError(
            f'an array of {shape} in {pixels.dtype} is no photo: it takes '
            'uint8, height x width x 3 in the order red, green, blue'
        )
    return Image.fromarray(pixels)


def said(name: str, why: object) -> str:
    """One line about a photo that cannot be used."""
    return printable(f'{name}: {why}' if name else f'{why}', 300)
