"""Photos in shards on a server: range requests, blocks on the disk, faults."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import tool, train_tiny
from range_server import RangeServer, serving
from test_shards import losses, one_photo

from flower_mm import photo_bytes, remote_files, remote_shards, shards
from flower_mm.dataset_mirror import address_of, fetch
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.shard_index import ShardError

pytest.importorskip('s3fs', reason='needs the extra `remote`')


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(remote_files, 'PAUSES', (0, 0))
    monkeypatch.setattr(remote_shards, 'BLOCK', 10_000)
    yield tmp_path / 'cache'
    shards.forget_shards()


@pytest.fixture
def server(packed: Path, tmp_path: Path) -> Iterator[RangeServer]:
    shutil.copytree(packed, tmp_path / 'served' / 'set')
    with serving(tmp_path / 'served') as server:
        yield server


def blocks(root: Path) -> list[Path]:
    return sorted((root / 'blocks').glob('*.tar.*'))


def reads_all(root: Path, packed: Path) -> bool:
    return all(
        photo_bytes.read_bytes(str(root / split / name))
        == photo_bytes.read_bytes(str(packed / split / name))
        for split in ('train', 'val', 'test')
        for name in shards.shards_in(packed).index.names(split)
    )


def test_photos_are_those_of_the_shards(server: RangeServer, packed: Path):
    root = fetch(f'{server.address}/set/')
    for name in ('classes.txt', 'train.txt', 'dataset.json', DatasetDir.INDEX):
        assert (root / name).read_bytes() == (packed / name).read_bytes()
    assert reads_all(root, packed)
    count = len(server.requests)
    shards.forget_shards()
    assert reads_all(root, packed)
    assert len(server.requests) == count  # all from the disk
    assert fetch(f'{server.address}/set') == root
    assert len(server.requests) == count + 1  # is it still the same?


def test_training_is_the_same_as_with_loose_files(
    server: RangeServer, config: Path, loose: Path, tmp_path: Path
):
    options = ('--cfg-options', 'default_hooks.logger.interval=1')
    one = train_tiny(config, loose, tmp_path / 'one', *options)
    address = f'{server.address}/set'
    workers = 'train_dataloader.num_workers=2'
    two = train_tiny(config, address, tmp_path / 'two', *options, workers)
    assert losses(one) == losses(two)
    server.fault, server.matching = '500', '.tar'
    shutil.rmtree(fetch(address) / 'blocks')
    run = ('--data', address, '--work-dir', tmp_path / 'x', '--skip-broken')
    options = ('--no-check', '--cfg-options', workers)
    done = tool('train', config, *run, *options, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: {address}/shards/train-')
    assert '500' in done.stderr


@pytest.mark.parametrize(
    'fault', ['500', '503', '429', 'stall', 'cut', 'short', 'change']
)
def test_a_fault_that_passes_is_tried_again(
    server: RangeServer, fault: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(remote_files, 'TIMEOUT', 0.5)
    root = fetch(f'{server.address}/set')
    server.fault, server.times = fault, 1
    assert photo_bytes.read_bytes(one_photo(root))
    assert server.times == 0


@pytest.mark.parametrize(
    ('fault', 'requests'),
    [
        *[('500', 3), ('stall', 3), ('cut', 3), ('short', 3), ('change', 2)],
        *[('404', 1), ('403', 1), ('redirect', 1), ('ignore_range', 1)],
        ('long', 1),
    ],
)
def test_a_fault_that_stays_is_a_clear_error(
    server: RangeServer,
    fault: str,
    requests: int,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(remote_files, 'TIMEOUT', 0.3)
    root = fetch(f'{server.address}/set')
    server.fault = fault
    before = len(server.requests)
    with pytest.raises(ShardError, match=r'shards/train-00000\.tar'):
        photo_bytes.read_bytes(one_photo(root))
    assert len(server.requests) == before + requests
    assert not blocks(root)


def test_a_damaged_block_is_read_again(server: RangeServer, packed: Path):
    root = fetch(f'{server.address}/set')
    assert reads_all(root, packed)
    for i, block in enumerate(blocks(root)):
        block.write_bytes(bytes(block.stat().st_size if i % 2 else 5))
    assert reads_all(root, packed)


@pytest.mark.parametrize('limit', ['0', '0.00005'])
def test_blocks_are_bounded(
    server: RangeServer,
    packed: Path,
    limit: str,
    monkeypatch: pytest.MonkeyPatch,
):
    root = fetch(f'{server.address}/set')
    assert reads_all(root, packed)
    assert sum(b.stat().st_size for b in blocks(root)) > 50_000
    monkeypatch.setenv(remote_shards.LIMIT, limit)
    monkeypatch.setattr(remote_shards, 'SLACK', 0)
    shards.forget_shards()
    (root / 'blocks' / 'train-00000.tar.0').unlink()
    assert reads_all(root, packed)
    if limit != '0':  # with 0, blocks are neither written nor deleted
        size = sum(block.stat().st_size for block in blocks(root))
        assert size <= float(limit) * 1e9


# --- the lists ---------------------------------------------------------------


def test_an_interrupted_copy_is_continued(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr('flower_mm.dataset_mirror.PIECE', 1000)
    server.matching, server.fault = 'index.sqlite', '500'
    with pytest.raises(ShardError):
        fetch(f'{server.address}/set')
    server.fault = ''
    before = len(server.requests)
    root = fetch(f'{server.address}/set')
    assert address_of(root) == f'{server.address}/set'
    paths = [path for path, _ in server.requests[before:]]
    index = root / DatasetDir.INDEX
    assert paths.count('/set/shards/index.sqlite') == -(
        -index.stat().st_size // 1000
    )


def test_a_dataset_that_was_replaced_is_copied_again(
    server: RangeServer, photos: Path, packed: Path, tmp_path: Path
):
    root = fetch(f'{server.address}/set')
    assert photo_bytes.read_bytes(one_photo(root))
    shutil.rmtree(tmp_path / 'served' / 'set')
    out = tmp_path / 'served' / 'set'
    tool('prepare_dataset', photos, '--out', out, '--shards=1MB', '--seed=5')
    shutil.rmtree(root / 'blocks')
    with pytest.raises(ShardError):  # a training that goes on meanwhile
        reads_all(root, packed)
    assert fetch(f'{server.address}/set') == root
    shards.forget_shards()
    assert reads_all(root, out)
    assert not (root / 'test.txt').exists()


def test_a_damaged_list_is_refused(server: RangeServer):
    server.matching, server.fault = 'train.txt', 'change'
    with pytest.raises(ShardError, match=r'train\.txt'):
        fetch(f'{server.address}/set')


@pytest.mark.parametrize(
    'change',
    [
        lambda files: files.update({'../../x': files['classes.txt']}),
        lambda files: files.update({'address.txt': files['classes.txt']}),
        lambda files: files.pop('train.txt'),
        lambda files: files['train.txt'].update(bytes=-1),
        lambda files: files['train.txt'].update(sha256='x'),
        lambda files: files.clear(),
    ],
)
def test_a_manifest_of_a_stranger(server: RangeServer, tmp_path: Path, change):
    path = tmp_path / 'served' / 'set' / DatasetDir.MANIFEST
    record = json.loads(path.read_text('utf-8'))
    change(record['files'])
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match='manifest'):
        fetch(f'{server.address}/set')
    assert not (tmp_path / 'x').exists()


def test_no_folder_of_a_stranger_names_an_address(
    server: RangeServer, tmp_path: Path, cache: Path
):
    root = fetch(f'{server.address}/set')
    moved = Path(shutil.copytree(root, tmp_path / 'moved'))
    other = Path(shutil.copytree(root, root.with_name('set-0123456789abcdef')))
    before = len(server.requests)
    for folder in (moved, other):
        assert address_of(folder) == ''
        with pytest.raises(ShardError):
            photo_bytes.read_bytes(one_photo(folder))
    assert len(server.requests) == before


@pytest.mark.parametrize(
    'address',
    [
        *['http://example.org/set', 'ftp://example.org/set', 'file:///set'],
        *['https://me:secret@example.org/set', 'https://h/set?token=1'],
        *['https://h/a/../b', 'https:///set', 's3://', 'https://[x/set'],
        'https://h:port/set',
    ],
)
def test_other_addresses_are_refused(address: str, config: Path):
    done = tool('train', config, '--data', address, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('error: invalid address')


# --- real servers ------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(('127.0.0.1', port)) == 0:
                return
        assert process.poll() is None, 'the server has ended'
        time.sleep(0.1)
    pytest.fail('the server does not start')


def test_nginx(packed: Path, tmp_path: Path):
    nginx = shutil.which('nginx') or shutil.which('nginx', path='/usr/sbin')
    if not nginx:
        pytest.skip('nginx is not installed')
    port = free_port()
    places = ' '.join(
        f'{kind}_temp_path {tmp_path};'
        for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')
    )
    (tmp_path / 'nginx.conf').write_text(
        f'daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log;\n'
        f'events {{}} http {{ access_log off; {places}\n'
        f'server {{ listen 127.0.0.1:{port}; root {packed.parent}; }} }}\n'
    )
    conf = str(tmp_path / 'nginx.conf')
    # As root, nginx starts workers of a user who may not read the photos.
    user = ['-g', 'user root;'] if os.getuid() == 0 else []
    process = subprocess.Popen([nginx, '-p', tmp_path, '-c', conf, *user])
    try:
        wait_for(port, process)
        assert reads_all(fetch(f'http://127.0.0.1:{port}/set'), packed)
    finally:
        process.terminate()
        process.wait()


def test_s3(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    moto = os.environ.get('MOTO_SERVER') or shutil.which('moto_server')
    if not moto:
        pytest.skip('moto_server is not installed: name it by MOTO_SERVER')
    port = free_port()
    for name, value in {
        'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}',
        'AWS_ACCESS_KEY_ID': 'a',
        'AWS_SECRET_ACCESS_KEY': 'b',
        'AWS_DEFAULT_REGION': 'us-east-1',
    }.items():
        monkeypatch.setenv(name, value)
    process = subprocess.Popen(
        [moto, '-p', str(port)], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, process)
        from s3fs import S3FileSystem

        bucket = S3FileSystem(skip_instance_cache=True)
        bucket.mkdir('photos')
        bucket.put(str(packed), 'photos/set', recursive=True)
        root = fetch('s3://photos/set')
        assert reads_all(root, packed)
        digest = hashlib.sha256((root / 'train.txt').read_bytes())
        wanted = hashlib.sha256((packed / 'train.txt').read_bytes())
        assert digest.digest() == wanted.digest()
        with pytest.raises(ShardError, match='no such file'):
            fetch('s3://photos/other')
        shutil.rmtree(root / 'blocks')
    finally:
        process.terminate()
        process.wait()
    with pytest.raises(ShardError):
        photo_bytes.read_bytes(one_photo(root))
