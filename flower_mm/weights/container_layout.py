"""The layout of files with weights: their parts, and not a byte besides.

A checkpoint of torch is a zip, and a zip can hold a program or a second file
before, between and behind its parts. Python imports modules from such a file
if its path gets on `sys.path`.
"""

import re
import struct
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

from flower_mm.weights.unpickle import Refused, Storage

# What torch.save writes beside the pickle and the tensors, since torch 1.6.
SMALL_MEMBERS = (
    '.data/serialization_id',
    '.format_version',
    '.storage_alignment',
    'byteorder',
    'version',
)
LONGEST_SMALL_MEMBER = 100  # bytes
LOCAL_HEADER, CENTRAL_HEADER, END = 30, 46, 22  # bytes
ZIP64_LOCATOR = 20
ZIP64_END = 56 + ZIP64_LOCATOR  # the record and its locator
LOCAL, DESCRIPTOR = b'PK\x03\x04', b'PK\x07\x08'
HAS_DESCRIPTOR, UTF8 = 8, 0x800  # flags
ZIP64_FIELD = b'\x01\x00'
PADDING_FIELD, PADDING = b'FB', b'Z'  # with which torch aligns tensors
LONGEST_COMMENT = 0xFFFF  # behind which a zip may end


def check_members(
    archive: ZipFile, root: str, storages: dict[str, Storage]
) -> None:
    """Refuse members that torch.save does not write."""
    allowed = {f'{root}/data.pkl'}
    allowed |= {f'{root}/{name}' for name in SMALL_MEMBERS}
    tensors = {
        f'{root}/data/{key}' for key in storages if re.fullmatch('[0-9]+', key)
    }
    for entry in archive.infolist():
        name = entry.filename
        if name not in allowed | tensors:
            raise Refused(
                f'is refused: it holds {name[:60]!r}, which torch.save does '
                'not write.'
            )
        small = name.removeprefix(f'{root}/') in SMALL_MEMBERS
        if small and entry.file_size > LONGEST_SMALL_MEMBER:
            raise Refused(f'is refused: its {name[:60]!r} is too long.')


def check_layout(file: BinaryIO, size: int, archive: ZipFile) -> None:
    """Refuse bytes that belong to no part of the zip."""
    place, names = 0, 0
    for entry in sorted(archive.infolist(), key=lambda e: e.header_offset):
        if entry.header_offset != place:
            raise _foreign('before or between')
        length, name_length = _record(file, entry)
        place += length
        names += name_length
        if entry.comment:
            raise _foreign('between')
        _check_extra(entry.extra)
        names += len(entry.extra)
    if place != archive.start_dir:
        raise _foreign('between')
    end = place + CENTRAL_HEADER * len(archive.infolist()) + names + END
    if archive.comment or size not in (end, end + ZIP64_END):
        raise _foreign('behind')


def check_end(file: BinaryIO, size: int) -> None:
    """Refuse a file of another kind that ends like a zip."""
    length = min(size, LONGEST_COMMENT + END + ZIP64_LOCATOR)
    file.seek(size - length)
    tail = file.read(length)
    place = len(tail)
    while (place := tail.rfind(b'PK\x05\x06', 0, place)) >= 0:
        record = tail[place : place + END]
        if len(record) < END:
            continue
        if tail[max(place - ZIP64_LOCATOR, 0) :].startswith(b'PK\x06\x07'):
            raise Refused('is refused: it is a zip as well.')
        directory = int.from_bytes(record[12:16], 'little')
        start = size - length + place - directory
        if start >= 0:
            file.seek(start)
            if file.read(4) == b'PK\x01\x02':
                raise Refused('is refused: it is a zip as well.')


def _record(file: BinaryIO, entry: ZipInfo) -> tuple[int, int]:
    """The bytes that a part takes in all, and those of its name."""
    file.seek(entry.header_offset)
    header = file.read(LOCAL_HEADER)
    if len(header) < LOCAL_HEADER or not header.startswith(LOCAL):
        raise ValueError('a zip whose parts are elsewhere')
    (flags,) = struct.unpack('<H', header[6:8])
    name, extra = struct.unpack('<HH', header[26:30])
    # Readers that go from part to part know no other name.
    coding = 'utf-8' if flags & UTF8 else 'cp437'
    if file.read(name) != entry.orig_filename.encode(coding):
        raise Refused('is refused: its parts have other names inside.')
    _check_extra(file.read(extra))
    length = LOCAL_HEADER + name + extra + entry.compress_size
    if flags & HAS_DESCRIPTOR:
        file.seek(entry.header_offset + length)
        length += _descriptor(file.read(24), entry)
    return length, name


def _descriptor(found: bytes, entry: ZipInfo) -> int:
    """The length of what follows the content: its checksum and sizes."""
    sizes = entry.CRC, entry.compress_size, entry.file_size
    for layout in ('<4sIII', '<4sIQQ'):
        length = struct.calcsize(layout)
        if struct.unpack(layout, found[:length].ljust(length, b'\0')) == (
            DESCRIPTOR,
            *sizes,
        ):
            return length
    raise _foreign('between')


def _check_extra(extra: bytes) -> None:
    """Allow torch's padding and the sizes of parts over 4 GB."""
    while extra:
        kind, length = extra[:2], int.from_bytes(extra[2:4], 'little')
        content, extra = extra[4 : 4 + length], extra[4 + length :]
        padding = kind == PADDING_FIELD and not content.strip(PADDING)
        if not padding and not (kind == ZIP64_FIELD and length <= 28):
            raise _foreign('between')


def _foreign(where: str) -> Refused:
    return Refused(f'is refused: it has foreign bytes {where} its parts.')
