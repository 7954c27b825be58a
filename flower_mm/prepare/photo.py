"""A photo on its way into a dataset, and its name there."""

import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath


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
    rewritten_sha256: bytes = b''  # of the new file, by `write_dataset`


def nfc(text: str) -> str:
    """Compose accents, which macOS stores as characters of their own."""
    return unicodedata.normalize('NFC', text)


def name_photos(photos: list[Photo], in_place: bool) -> None:
    """Set the unique name of each photo in the dataset.

    Names are compared without case, as some file systems do. A later photo of
    the same name gets the start of its sha256.
    """
    taken = set()
    for photo in photos:
        inside = photo.inside or photo.path.partition('/')[2]
        if in_place:
            photo.name = inside
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
        photo.name = str(name)
