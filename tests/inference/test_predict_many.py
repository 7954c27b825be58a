"""`predict --out`: parts of a long list, in processes that may die."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import forked
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray_nodes

from flower_mm import Classifier
from flower_mm.weights.file_hash import sha256_of

# Each is one name of a file, and none a reason to lose another.
HOSTILE = [
    b'two\nlines.jpg',
    b'not utf-8 \xff\xfe.jpg',
    b'\\udcff.jpg',
    b'\xc2\x9b31mred.jpg',
    b'=cmd|calc.jpg',
    b"a' OR 1=1.jpg",
    b'%2e%2e.jpg',
]


@pytest.fixture(scope='module')
def best(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('best')
    return Path(shutil.copy(plain_run / 'best.pth', folder))


@pytest.fixture
def predict(best: Path, tmp_path: Path):
    """Start the tool with results in tmp_path/out."""
    # Workers that need not import torch again.
    quick = tmp_path / 'quick.py'
    quick.write_text(
        'from flower_mm import worker_processes\n'
        "worker_processes.START_METHOD = 'fork'\n"
    )

    def run(*args: object, code: int | None = 0, **options) -> forked.Run:
        log = tmp_path / 'log'
        options = {'first': str(quick)} | options
        out = ('--out', tmp_path / 'out', '--device', 'cpu')
        done = forked.start(log, 'predict', best, *args, *out, **options)
        if code is not None:
            assert done.wait() == code, done.text
        return done

    return run


def rows(folder: Path) -> list[dict]:
    found = []
    for part in sorted(folder.glob('part-*.parquet')):
        found += pq.read_table(part).to_pylist()
    return found


def names(folder: Path) -> list[bytes]:
    return [row['path_bytes'] or row['path'].encode() for row in rows(folder)]


def test_scores_are_those_of_the_classifier(best, photos, predict, tmp_path):
    predict(photos, '--topk', 2, '--part-photos', 64)
    found = rows(tmp_path / 'out')
    assert [row['path'] for row in found] == sorted(
        map(str, photos.rglob('*.jpg'))
    )
    plain = Classifier(best, device='cpu', calibrated=False)
    scaled = Classifier(best, device='cpu')
    has_temperature = scaled.model.calibration.temperature is not None
    for row, raw, other in zip(
        found,
        plain.each([row['path'] for row in found]),
        scaled.each([row['path'] for row in found]),
        strict=True,
    ):
        assert row['class'] == other.label
        assert row['probability'] == raw.probabilities[other.label]
        calibrated = other.confidence if has_temperature else None
        assert row['calibrated'] == calibrated
        assert [top['class'] for top in row['top']] == [
            name for name, _ in other.top(2)
        ]
        assert (row['error'], row['unsure']) == (None, False)
    manifest = json.loads((tmp_path / 'out/manifest.json').read_text())
    assert manifest['photos'] == len(found)
    assert manifest['classes'] == Counter(row['class'] for row in found)
    assert manifest['settings']['model_sha256'] == sha256_of(best)


def test_broken_photos_and_hostile_names_have_a_row(photos, predict, tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    good = (photos / 'red/000.jpg').read_bytes()
    for name in HOSTILE:
        (folder / os.fsdecode(name)).write_bytes(good)
    (tmp_path / 'in/broken.jpg').write_bytes(b'\xff\xd8 no photo')
    (tmp_path / 'in/gone.jpg').symlink_to(tmp_path / 'nowhere')
    (tmp_path / 'in/notes.txt').write_text('no photo')
    predict(tmp_path / 'in', '--part-photos', 3, code=2)
    listed = [name.rpartition(b'/')[2] for name in names(tmp_path / 'out')]
    assert sorted(listed) == sorted([*HOSTILE, b'broken.jpg', b'gone.jpg'])
    bad = [row for row in rows(tmp_path / 'out') if row['error']]
    assert len(bad) == 2
    assert {row['class'] for row in bad} == {None}
    manifest = json.loads((tmp_path / 'out/manifest.json').read_text())
    assert (manifest['photos'], manifest['errors']) == (9, 2)


def test_tar_files_have_the_scores_of_their_photos(photos, predict, tmp_path):
    with tarfile.open(tmp_path / '00.tar', 'w') as tar:
        for photo in sorted((photos / 'red').iterdir()):
            tar.add(photo, photo.name)
            info = tarfile.TarInfo(f'{photo.stem}.cls')
            tar.addfile(info, io.BytesIO())
        link = tarfile.TarInfo('link.jpg')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        tar.addfile(link)
    predict(tmp_path / '00.tar', code=2)
    by_name = {
        row['path'].rpartition('/')[2]: row for row in rows(tmp_path / 'out')
    }
    assert by_name.pop('link.jpg')['error'] == 'a link or a device'
    assert len(by_name) == 20
    shutil.rmtree(tmp_path / 'out')
    predict(photos / 'red')
    loose = {Path(row['path']).name: row for row in rows(tmp_path / 'out')}
    assert by_name.keys() == loose.keys()
    for name, row in loose.items():
        assert row['probability'] == by_name[name]['probability']


@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_a_list_stays_below_its_prefix(kind, photos, predict, tmp_path):
    root = tmp_path / 'root'
    shutil.copytree(photos / 'red', root / 'red')
    (tmp_path / 'secret.jpg').write_bytes((root / 'red/000.jpg').read_bytes())
    (root / 'link.jpg').symlink_to(tmp_path / 'secret.jpg')
    refused = [
        '../secret.jpg',
        'red/../red/001.jpg',
        str(tmp_path / 'secret.jpg'),
        f'{root}2/x.jpg',
        'https://127.0.0.1:1/x.jpg',
        'file:///etc/passwd',
        'link.jpg',
        '',
    ]
    listed = ['red/000.jpg', str(root / 'red/001.jpg'), 'red/000.jpg']
    file = tmp_path / f'list.{kind}'
    if kind == 'csv':
        with file.open('w', newline='') as target:
            csv.writer(target).writerows(
                [['n', 'Path'], *([1, name] for name in refused + listed)]
            )
    else:
        pq.write_table(pa.table({'Path': refused + listed}), file)
    assert '--prefix' in predict(file, code=2).text
    predict(file, '--prefix', root, code=2)
    found = {row['path']: row for row in rows(tmp_path / 'out')}
    assert len(found) == len(refused) + 2
    fine = {name for name, row in found.items() if row['error'] is None}
    assert fine == set(listed)


def test_urls_stay_below_their_prefix(photos, tmp_path, predict, web):
    address, asked = web
    file = tmp_path / 'list.csv'
    urls = [
        'red/000.jpg',
        f'{address}/photos/red/001.jpg',
        f'{address}/photos/gone.jpg',
        f'{address}/photos/moved.jpg',  # redirects to /secret.jpg
        f'{address}/photos/%2e%2e/secret.jpg',
        f'{address}/photos2/x.jpg',
        f'{address}@elsewhere/photos/x.jpg',
        'busy.jpg',
    ]
    file.write_text('\n'.join(['url', *urls]))
    predict(file, '--prefix', f'{address}/photos', code=2)
    found = {row['path']: row['error'] for row in rows(tmp_path / 'out')}
    fine = {urls[0], urls[1], urls[7]}
    assert {name for name, error in found.items() if error is None} == fine
    assert found[urls[2]] == 'HTTP status 404'
    assert not [path for path in asked if not path.startswith('/photos/')]


@pytest.fixture
def web(photos):
    """A server of the photos, and the paths that it was asked for."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.removeprefix('/photos/')
            if name == 'moved.jpg':
                self.send_response(302)
                self.send_header('Location', '/secret.jpg')
                self.end_headers()
                return
            if name == 'busy.jpg' and asked.count(self.path) == 1:
                self.send_error(503)
                return
            file = photos / name.replace('busy', 'red/002')
            if not file.is_file():
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(file.read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}', asked
    server.shutdown()
    server.server_close()


def test_other_options_and_other_files_are_refused(photos, predict, tmp_path):
    predict(photos / 'red')
    before = (tmp_path / 'out/part-00000000.parquet').stat().st_mtime_ns
    predict(photos / 'red')
    assert (
        tmp_path / 'out/part-00000000.parquet'
    ).stat().st_mtime_ns == before
    text = predict(photos / 'red', '--topk', 2, code=2).text
    assert 'another topk: expected 1, got 2' in text
    predict(photos / 'red', '--topk', 2, '--overwrite')
    assert len(rows(tmp_path / 'out')[0]['top']) == 2
    assert (
        '--csv cannot'
        in predict(photos, '--csv', tmp_path / 'x.csv', code=2).text
    )
    shutil.rmtree(tmp_path / 'out')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis.txt').touch()
    assert 'thesis.txt' in predict(photos / 'red', code=2).text


@pytest.mark.parametrize(
    'name', ['settings.json', 'manifest.json', 'part-00000000.parquet']
)
@pytest.mark.parametrize('flags', [[], ['--overwrite']])
def test_files_of_another_program_stay(name, flags, photos, predict, tmp_path):
    file = tmp_path / 'out' / name
    file.parent.mkdir()
    file.write_text('{"editor.tabSize": 4}')
    done = predict(photos / 'red', *flags, code=2)
    assert name in done.text
    assert file.read_text() == '{"editor.tabSize": 4}'


def test_a_threshold_and_sets_of_classes(photos, predict, tmp_path):
    predict(photos, '--threshold', 0.9, '--coverage', 0.5)
    found = rows(tmp_path / 'out')
    scores = np.array(
        [row['calibrated'] or row['probability'] for row in found]
    )
    assert [row['unsure'] for row in found] == (scores < 0.9).tolist()
    assert all(row['class'] in row['classes'] for row in found)


def workers(process: int) -> list[int]:
    file = Path(f'/proc/{process}/task/{process}/children')
    return [
        int(child)
        for child in file.read_text().split()
        if b'spawn_main' in Path(f'/proc/{child}/cmdline').read_bytes()
    ]


@pytest.mark.parametrize(
    'victim', ['worker', pytest.param('driver', marks=pytest.mark.nightly)]
)
def test_nothing_is_lost_or_doubled_after_kills(
    victim, photos, predict, tmp_path
):
    folder = tmp_path / 'in'
    for number in range(8):
        shutil.copytree(photos, folder / str(number))
    args = (folder, '--part-photos', 10, '--workers', 2, '--batch-size', 8)
    done = None
    for parts in (1, 20):
        if done is None or victim == 'driver':
            done = predict(*args, code=None, first='')
        deadline = time.monotonic() + 60
        while len(list((tmp_path / 'out').glob('part-*'))) < parts:
            assert done.process.is_alive(), done.text
            assert time.monotonic() < deadline, done.text
            time.sleep(0.01)
        if victim == 'driver':
            done.process.kill()
            assert done.wait() == -9
        else:
            os.kill(workers(done.process.pid)[0], 9)
    if victim == 'driver':
        assert not (tmp_path / 'out/manifest.json').exists()
        predict(*args)
    else:
        assert done.wait() == 0, done.text
    expected = sorted(map(os.fsencode, folder.rglob('*.jpg')))
    assert names(tmp_path / 'out') == expected
    assert not list((tmp_path / 'out').glob('*.part'))


def test_a_damaged_part_is_computed_again(photos, predict, tmp_path):
    predict(photos, '--part-photos', 16)
    part = tmp_path / 'out/part-00000002.parquet'
    content = part.read_bytes()
    part.write_bytes(content[:-20])
    predict(photos, '--part-photos', 16)
    assert part.read_bytes() == content
    assert len(names(tmp_path / 'out')) == 60


@pytest.mark.skipif(
    not hasattr(os, 'geteuid') or os.geteuid() != 0,
    reason='mounting a small disk needs root',
)
def test_a_full_disk(photos, predict, tmp_path):
    small = tmp_path / 'out'
    small.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=48k', 'tmpfs', str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('this container does not allow mounts')
    try:
        args = (photos, '--part-photos', 5, '--topk', 3)
        text = predict(*args, code=2).text
        assert 'no disk space' in text
        assert 'Traceback' not in text
        some = len(names(small))
        assert 0 < some < 60
        subprocess.run([*mount[:4], 'remount,size=1m', *mount[5:]], check=True)
        predict(*args)
        assert len(set(names(small))) == len(names(small)) == 60
    finally:
        subprocess.run(['umount', str(small)], check=True)


@pytest.mark.nightly
def test_a_cluster_whose_worker_and_node_die(best, photos, tmp_path):
    for number in range(20):
        shutil.copytree(photos, tmp_path / 'in' / str(number))
    out = tmp_path / 'out'
    with ray_nodes.cluster() as nodes:
        with (tmp_path / 'log').open('w') as log:
            driver = subprocess.Popen(
                [
                    *(sys.executable, '-m', 'flower_mm', 'predict', best),
                    *(tmp_path / 'in', '--out', out, '--device', 'cpu'),
                    *('--part-photos', '10', '--batch-size', '2'),
                    *('--cluster', nodes.address),
                ],
                env=nodes.environment,
                stderr=log,
            )
        for parts, kill in ((5, nodes.kill_worker), (40, nodes.kill_other)):
            deadline = time.monotonic() + 100
            while len(list(out.glob('part-*'))) < parts:
                assert driver.poll() is None, (tmp_path / 'log').read_text()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            kill()
        assert driver.wait(200) == 0, (tmp_path / 'log').read_text()
    expected = sorted(map(os.fsencode, (tmp_path / 'in').rglob('*.jpg')))
    assert names(out) == expected
