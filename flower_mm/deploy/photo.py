"""A photo from anywhere, as it would lie in a prepared dataset."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from flower_mm.errors import UserError, printable
from flower_mm.prepare.scan import (
    FORMATS,
    BadPhotoError,
    check_sums,
    orientation,
    plain,
    read_bytes,
    unusable,
    what_broke,
    why_rewrite,
)

# About damaged EXIF and large photos; neither matters.
warnings.filterwarnings('ignore', module='PIL')

# Long side by short side. The short one is brought to 256 pixels or so, and
# the long one with it: of 32 x 1,000,000 pixels that would make 6 GB.
MAX_RATIO = 200


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
        if not isinstance(step, LoadImageFromFile):
            raise UserError(
                f'its pipeline begins with {type(step).__name__}, which '
                'reads datasets only; LoadImageFromFile reads photos'
            )
        self._step = step

    def read(self, photo: Photo) -> np.ndarray:
        """(h, w, 3) as OpenCV lays them out: blue, green, red."""
        data = b''
        try:
            if isinstance(photo, Image.Image):
                pixels = self._of_image(photo)
            elif isinstance(photo, np.ndarray):
                pixels = self._of_image(_as_image(photo))
            else:
                data = _bytes_of(photo)
                pixels = self._of_file(data)
        except (BadPhotoError, MemoryError, TypeError):
            raise
        except Exception as error:
            raise BadPhotoError(what_broke(error, data)) from error
        return pixels.astype(np.float32) if self._step.to_float32 else pixels

    def _of_file(self, data: bytes) -> np.ndarray:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _require_usable(image, data)
            if why_rewrite(image, orientation(image) != 1):
                return self._rewritten(image)
            # Decoded small, to the end: what is missing there shows.
            image.draft('RGB', (256, 256))
            image.load()
            if image.format == 'PNG':
                check_sums(data)
        return self._loaded(data)

    def _of_image(self, image: Image.Image) -> np.ndarray:
        _require_usable(image)
        return self._rewritten(image)

    def _rewritten(self, image: Image.Image) -> np.ndarray:
        """As loaded from the PNG that tools/prepare_dataset.py writes."""
        image = plain(image).convert('RGB')
        if self._step.color_type == 'color':
            return np.ascontiguousarray(np.asarray(image)[..., ::-1])
        file = BytesIO()
        image.save(file, 'PNG', compress_level=1)
        return self._loaded(file.getvalue())

    def _loaded(self, data: bytes) -> np.ndarray:
        """What the pipeline's own step makes of a file."""
        pixels = mmcv.imfrombytes(
            data,
            flag=self._step.color_type,
            backend=self._step.imdecode_backend,
        )
        if pixels is None:
            raise BadPhotoError('damaged, so that OpenCV cannot read it')
        return pixels


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


def _require_usable(image: Image.Image, data: bytes = b'') -> None:
    width, height = image.size
    bad = unusable(image, data)
    if not bad and max(image.size) > MAX_RATIO * min(image.size):
        bad = f'far too long and narrow ({width} x {height})'
    if bad:
        raise BadPhotoError(bad)


def said(name: str, why: object) -> str:
    """One line about a photo that cannot be used."""
    return printable(f'{name}: {why}' if name else f'{why}', 300)
