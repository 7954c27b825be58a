"""The dataset at an address, as a folder in the cache of this user.

The lists and the index are copied there, verified by their sha256; the shards
stay where they are. Only the address in the name of the folder is read from,
so that no file of a dataset can name another one.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path

from flower_mm.errors import UserError, printable
from flower_mm.files import replacing, user_cache, write_whole
from flower_mm.layout import DatasetDir
from flower_mm.lock import one_at_a_time_in
from flower_mm.remote_files import RemoteFolder, normal_address
from flower_mm.shard_index import ShardError

ADDRESS = 'address.txt'
BLOCKS = 'blocks'  # folder of parts of shards
LARGEST_MANIFEST = 1_000_000  # bytes
PIECE = 8 * 1024**2  # bytes of a request
REQUIRED = {
    DatasetDir.CLASSES,
    DatasetDir.RECORD,
    DatasetDir.INDEX,
    DatasetDir.list_of('train'),
}
ALLOWED = REQUIRED | {
    DatasetDir.SUMMARY,
    *map(DatasetDir.list_of, DatasetDir.SPLITS),
}


def address_of(root: Path) -> str:
    """Return the address of a folder that `fetch` made, '' for others."""
    root = root.resolve()
    if root.parent != (user_cache() / 'datasets').resolve():
        return ''
    try:
        address = (root / ADDRESS).read_text('utf-8')
    except (OSError, ValueError):
        return ''
    return address if root.name == _name(address) else ''


def fetch(address: str) -> Path:
    """Copy the lists of a dataset; return the folder for `--data`.

    An interrupted copy is continued; a complete one is used again while the
    dataset at the address is the same.
    """
    address = normal_address(address)
    remote = RemoteFolder(address)
    folder = user_cache() / 'datasets' / _name(address)
    with one_at_a_time_in(folder, f'copying the lists of {address}'):
        manifest = remote.read_small(DatasetDir.MANIFEST, LARGEST_MANIFEST)
        files = _files_of(manifest, address)
        kept = folder / DatasetDir.MANIFEST
        if kept.is_file() and kept.read_bytes() == manifest:
            return folder
        kept.unlink(missing_ok=True)
        shutil.rmtree(folder / BLOCKS, ignore_errors=True)
        print(f'copying the lists of {address} to {folder}', flush=True)
        for name, (size, sha256) in files.items():
            _copy(remote, name, size, sha256, folder / name)
        for name in ALLOWED - files.keys():
            (folder / name).unlink(missing_ok=True)
        with replacing(folder / ADDRESS, 'w') as file:
            file.write(address)
        write_whole(kept, manifest)
    return folder


def _name(address: str) -> str:
    digest = hashlib.sha256(address.encode(errors='replace')).hexdigest()
    last = re.sub(r'[^\w-]+', '_', address.rpartition('/')[2])[:40]
    return f'{last}-{digest[:16]}'


def _files_of(manifest: bytes, address: str) -> dict[str, tuple[int, str]]:
    """Return the size and the sha256 of each file."""
    try:
        record = json.loads(manifest)
        files = {
            name: (each['bytes'], each['sha256'])
            for name, each in record['files'].items()
        }
        if record['format'] != 1 or not REQUIRED <= files.keys() <= ALLOWED:
            raise ValueError(f'files {", ".join(sorted(files))}')
        for size, sha256 in files.values():
            if type(size) is not int or size < 1:
                raise ValueError('a size')
            if not re.fullmatch('[0-9a-f]{64}', sha256):
                raise ValueError('a sha256')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{address} is not a dataset of shards: its {DatasetDir.MANIFEST} '
            f'is invalid ({printable(str(error))}).\n'
            'Upload the whole folder that `prepare --shards` wrote'
        ) from error
    return files


def _copy(
    remote: RemoteFolder, name: str, size: int, sha256: str, target: Path
) -> None:
    """Download a file; what an earlier run has downloaded is kept."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.part')
    for _ in range(2):  # the part may be of an older file
        with part.open('ab') as file:
            if file.tell() > size:
                file.truncate(0)
            for start in range(file.tell(), size, PIECE):
                end = min(start + PIECE, size)
                file.write(remote.read(name, start, end))
        with part.open('rb') as file:
            if hashlib.file_digest(file, 'sha256').hexdigest() == sha256:
                part.replace(target)
                return
        part.unlink()
    raise ShardError(
        f'{remote.address}/{name} differs from the sha256 in its '
        f'{DatasetDir.MANIFEST}: it is damaged, or being replaced.\n'
        'Upload the dataset again, or run this command again later'
    )
