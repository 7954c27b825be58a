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
    (has_bytes_behind_its_tensors, 'foreign bytes behind'),
    (has_bytes_between_its_tensors, 'foreign bytes between'),
)
