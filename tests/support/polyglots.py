"""Files that are two things at a time, one maker for each kind.

As in `hostile`, a maker starts from a whole checkpoint.
"""

import io
import json
import struct
import zipfile
from pathlib import Path

import safetensors.torch
import torch


def has_a_module_in_its_zip(path: Path, canary: Path, good: dict) -> None:
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('mc.py', f'open({str(canary)!r}, "w").close()')


def has_a_module_among_its_tensors(
    path: Path, canary: Path, good: dict
) -> None:
    """Under a name in the folder of torch.save."""
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a') as archive:
        root = archive.namelist()[0].partition('/')[0]
        archive.writestr(f'{root}/data/99999', b'import os')


def has_a_program_before_its_zip(path: Path, canary: Path, good: dict) -> None:
    """A part that the directory at the end does not name."""
    torch.save(good, path)
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, 'w') as archive:
        archive.writestr('mc.py', f'open({str(canary)!r}, "w").close()')
    local = hidden.getvalue()[: archive.start_dir]
    path.write_bytes(local + path.read_bytes())


def has_bytes_in_a_field(path: Path, canary: Path, good: dict) -> None:
    """Where torch has padding."""
    torch.save(good, path)
    content = path.read_bytes()
    at = content.index(b'ZZZZZZZZ')
    path.write_bytes(content[:at] + b'#!python' + content[at + 8 :])


def has_a_comment(path: Path, canary: Path, good: dict) -> None:
    torch.save(good, path)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.comment = b'#!/bin/sh'


def has_a_zip_behind_the_old_format(
    path: Path, canary: Path, good: dict
) -> None:
    torch.save(good, path, _use_new_zipfile_serialization=False)
    has_a_module_in_a_zip_behind(path, canary)


def has_bytes_behind_the_old_format(
    path: Path, canary: Path, good: dict
) -> None:
    torch.save(good, path, _use_new_zipfile_serialization=False)
    with path.open('ab') as file:
        file.write(b'#')


def has_a_zip_behind_its_tensors(path: Path, canary: Path, good: dict) -> None:
    """Of safetensors."""
    path.write_bytes(safetensors.torch.save(good['state_dict']))
    has_a_module_in_a_zip_behind(path, canary)


def has_a_zip_within_its_tensors(path: Path, canary: Path, good: dict) -> None:
    """The numbers of the last tensor are one."""
    hidden = path.with_suffix('.zip')
    with zipfile.ZipFile(hidden, 'w') as archive:
        archive.writestr('mc.py', f'open({str(canary)!r}, "w").close()')
    numbers = torch.frombuffer(
        bytearray(hidden.read_bytes()), dtype=torch.int8
    )
    hidden.unlink()
    path.write_bytes(safetensors.torch.save({'x': numbers}))


def has_a_large_zip_within_its_tensors(
    path: Path, canary: Path, good: dict
) -> None:
    """One whose end says that its sizes are in a record of their own."""
    has_a_zip_within_its_tensors(path, canary, good)
    numbers = safetensors.torch.load_file(path)['x'].numpy().tobytes()
    end = numbers.rindex(b'PK\x05\x06')
    size, place = struct.unpack('<II', numbers[end + 12 : end + 20])
    record = struct.pack(
        '<4sQHHIIQQQQ', b'PK\6\6', 44, 45, 45, 0, 0, 1, 1, size, place
    )
    locator = struct.pack('<4sIQI', b'PK\6\7', 0, end, 1)
    short = struct.pack(
        '<4sHHHHIIH',
        b'PK\5\6',
        0,
        0,
        *[(1 << 16) - 1] * 2,
        *[(1 << 32) - 1] * 2,
        0,
    )
    numbers = numbers[:end] + record + locator + short
    with zipfile.ZipFile(io.BytesIO(numbers)) as archive:
        assert archive.namelist() == ['mc.py']
    tensor = torch.frombuffer(bytearray(numbers), dtype=torch.int8)
    path.write_bytes(safetensors.torch.save({'x': tensor}))


def has_bytes_in_its_directory(path: Path, canary: Path, good: dict) -> None:
    """Behind a field that torch writes for parts over 4 GB."""
    torch.save(good, path)
    content = path.read_bytes()
    end = content.rindex(b'PK\x05\x06')
    size, place = struct.unpack('<II', content[end + 12 : end + 20])
    header = content[place : place + 46]
    name, extra = struct.unpack('<HH', header[28:32])
    fields = b'\x01\x00\x00\x00' + b'##\x08\x00#!python'
    first = place + 46 + name + extra
    path.write_bytes(
        content[: place + 30]
        + struct.pack('<H', extra + len(fields))
        + content[place + 32 : first]
        + fields
        + content[first : place + size]
        + content[end : end + 12]
        + struct.pack('<I', size + len(fields))
        + content[end + 16 :]
    )


def has_other_names_inside(path: Path, canary: Path, good: dict) -> None:
    """Tools that do not look for the directory unpack a module."""
    torch.save(good, path)
    name = f'{path.stem}/version'.encode()
    hidden = b'mc.py'.rjust(len(name), b'/')
    path.write_bytes(path.read_bytes().replace(name, hidden, 1))


def has_bytes_behind_its_tensors(path: Path, canary: Path, good: dict) -> None:
    content = safetensors.torch.save(good['state_dict'])
    path.write_bytes(content + b'#')


def has_bytes_between_its_tensors(
    path: Path, canary: Path, good: dict
) -> None:
    row = {'dtype': 'U8', 'shape': [4], 'data_offsets': [4, 8]}
    table = json.dumps({'x': row}).encode()
    path.write_bytes(struct.pack('<Q', len(table)) + table + b'exec1234')


def has_a_module_in_a_zip_behind(path: Path, canary: Path) -> None:
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('mc.py', f'open({str(canary)!r}, "w").close()')


# Each with what its refusal says.
POLYGLOTS = (
    (has_a_module_in_its_zip, 'holds .mc.py., which'),
    (has_a_module_among_its_tensors, 'data/99999., which'),
    (has_a_program_before_its_zip, 'foreign bytes before'),
    (has_bytes_in_a_field, 'foreign bytes between'),
    (has_a_comment, 'foreign bytes behind'),
    (has_a_zip_behind_the_old_format, 'a zip as well'),
    (has_bytes_behind_the_old_format, 'foreign bytes behind'),
    (has_a_zip_behind_its_tensors, 'a zip as well'),
    (has_a_zip_within_its_tensors, 'a zip as well'),
    (has_a_large_zip_within_its_tensors, 'a zip as well'),
    (has_bytes_in_its_directory, 'foreign bytes between'),
    (has_other_names_inside, 'other names inside'),
    (has_bytes_behind_its_tensors, 'file not fully covered'),
    (has_bytes_between_its_tensors, 'invalid offset'),
)
