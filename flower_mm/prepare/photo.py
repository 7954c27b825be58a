"""A photo on its way into a dataset, and its name there."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol


@dataclass(slots=True)
class Photo:
    """A photo on its way into a dataset."""

    path: str  # in the source, for the user
    file: str  # where the bytes are
    label: int  # index of the class
    split: str = ''  # that the source has published, '' for none
    # Its wanted name in the dataset, '' for `path` without its first folder.
    inside: str = ''

    # Set by `scan_photos.scan`.
    sha256: bytes = b''
    size: int = 0
    thumb: bytes = b''  # of `scan_photos.thumbnail`
    error: str = ''  # why it is unusable
    note: str = ''  # of a photo that is used as it is
    rewrite_reason: str = ''  # why it has to be rewritten
    # .png, or .jpg for HEIC, of which PNG would be ten times as large.
    rewrite_suffix: str = '.png'

    name: str = ''  # file name in the dataset, by `name_photos`


def nfc(text: str) -> str:
    """Compose accents, which macOS stores as characters of their own."""
    return unicodedata.normalize('NFC', text)


class Photos(Protocol):
    """Photos in a list, or on the disk until they are looked at."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Photo]: ...

    def __getitem__(self, index: int, /) -> Photo: ...


class TakenNames(Protocol):
    """Pairs of class and name; a set is one."""

    def __contains__(self, name: tuple[int, str], /) -> bool: ...

    def add(self, name: tuple[int, str], /) -> None: ...


def name_photos(photos: list[Photo], in_place: bool) -> None:
    """Set the unique name of each photo in the dataset."""
    for photo, name in names_of(photos, in_place, set()):
        photo.name = name


def names_of(
    photos: Iterable[Photo], in_place: bool, taken: TakenNames
) -> Iterator[tuple[Photo, str]]:
    """Yield each photo and its unique name in the dataset.

    Names are compared without case, as some file systems do. A later photo of
    the same name gets the start of its sha256.
    """
    for photo in photos:
        inside = photo.inside or photo.path.partition('/')[2]
        if in_place:
            yield photo, inside
            continue
        name = PurePosixPath(nfc(inside.replace('/', '_')))
        if photo.rewrite_reason:
            name = name.with_suffix(photo.rewrite_suffix)
        plain, sha = name, photo.sha256.hex()[:8]
        copy = 0
        while (photo.label, str(name).casefold()) in taken:
            # The same bytes may come under one name: a/b_c.jpg, a_b/c.jpg.
            copy += 1
            number = f'-{copy}' if copy > 1 else ''
            name = plain.with_name(f'{plain.stem}-{sha}{number}{plain.suffix}')
        taken.add((photo.label, str(name).casefold()))
        yield photo, str(name)
