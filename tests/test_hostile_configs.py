"""Configs in best.pth that want more than to prepare a photo: every door."""

import os
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import forked
import pytest
import torch

from flower_mm import Classifier
from flower_mm.errors import UserError
from flower_mm.weights.best_checkpoint import write_safetensors

MEMCACHED = {
    'backend': 'memcached',
    'server_list_cfg': 'a',
    'client_cfg': 'b',
}


@pytest.fixture
def address() -> Iterator[tuple[str, list]]:
    """Of a server, and what was asked of it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}/x', asked
    server.shutdown()
    thread.join()
    server.server_close()


def loading_again(found: dict, source: str, backend: dict | None) -> None:
    """Let the pipeline load an image from `source` in place of the photo."""
    dataset = found['meta']['cfg']['test_dataloader']['dataset']
    load = {'type': 'LoadImageFromFile'}
    if backend:
        load['backend_args'] = backend
    dataset['pipeline'][1:1] = [
        {'type': 'Resize', 'scale': (32, 32), 'keep_ratio': source},
        {
            'type': 'KeyMapper',
            'mapping': {'img_path': 'keep_ratio'},
            'transforms': [load],
        },
    ]


def add_module(path: Path, canary: Path) -> None:
    """A zip with mc.py, which MMEngine's memcached backend imports."""
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('mc.py', f'open({str(canary)!r}, "w").close()')


@pytest.fixture
def mailed(plain_run: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make the folder of a run whose best.pth a stranger has changed."""

    def make(
        source: str, backend: dict | None = None, module: str = ''
    ) -> Path:
        run = tmp_path / 'run'
        shutil.copytree(plain_run, run)
        best = run / 'best.pth'
        found = torch.load(best, weights_only=True)
        if backend:
            backend = backend | {'sys_path': str(best)}
        loading_again(found, source, backend)
        torch.save(found, best)
        if module == 'best.safetensors':
            backend['sys_path'] = str(run / module)
            write_safetensors(run / module, found['state_dict'], found['meta'])
        if module:
            add_module(run / module, tmp_path / 'canary')
        return run

    return make


DOORS = {
    'predict': ('predict', '{run}/best.pth', '{photo}'),
    'serve': ('serve', '{run}/best.pth', '--port', '0'),
    'export': ('export', '{run}/best.pth', '--to', 'onnx'),
    'report': ('report', '{run}'),
    'share': ('share', '{run}', '{run}/shared'),
}


def refused(door: str, run: Path, photo: Path) -> None:
    """The tool ends with exit code 2 and one line, and writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in run.rglob('*')}
    tool, *args = [part.format(run=run, photo=photo) for part in DOORS[door]]
    process = forked.start(run.with_name('log'), tool, *args)
    assert process.wait() == 2, process.text
    lines = process.text.strip().splitlines()
    errors = [line for line in lines if line.startswith('error: ')]
    assert errors == lines[-1:], process.text
    assert ' is refused: ' in errors[0]
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob('*')}


@pytest.fixture
def photo(photos: Path) -> Path:
    return next(photos.rglob('*.jpg'))


@pytest.mark.parametrize('door', DOORS)
def test_code_within_a_checkpoint(door, mailed, photo, tmp_path):
    run = mailed('x', MEMCACHED, 'best.pth')
    refused(door, run, photo)
    assert not (tmp_path / 'canary').exists()


@pytest.mark.parametrize('module', ['best.pth', 'best.safetensors'])
def test_code_in_a_folder_from_python(module, mailed, photo, tmp_path):
    run = mailed('x', MEMCACHED, module)
    with pytest.raises(UserError, match='is refused: ') as error:
        Classifier(run)(photo)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'canary').exists()


def test_the_backend_alone(mailed, photo, tmp_path):
    """From a folder beside it, as from a zip."""
    run = mailed('x', MEMCACHED)
    (run / 'mc.py').write_text(f'open({str(tmp_path / "canary")!r}, "w")')
    with pytest.raises(UserError, match='keep_ratio'):
        Classifier(run)(photo)
    assert not (tmp_path / 'canary').exists()


SOURCES = ['http', 'file', 'path', 'pipe']


def source_of(kind: str, url: str, folder: Path, photo: Path) -> str:
    pipe = folder / 'pipe'
    if kind == 'pipe':
        os.mkfifo(pipe)
    return {
        'http': url,
        'file': f'file://{photo}',
        'path': str(photo),
        'pipe': str(pipe),
    }[kind]


@pytest.mark.parametrize('kind', SOURCES)
@pytest.mark.parametrize(
    'door',
    [
        'predict',
        *(
            pytest.param(door, marks=pytest.mark.nightly)
            for door in DOORS
            if door != 'predict'
        ),
    ],
)
def test_another_place_than_the_photo(
    door, kind, mailed, photo, address, tmp_path
):
    url, asked = address
    run = mailed(source_of(kind, url, tmp_path, photo))
    refused(door, run, photo)
    assert not asked


@pytest.mark.parametrize('kind', SOURCES)
def test_another_place_from_python(kind, mailed, photo, address, tmp_path):
    url, asked = address
    run = mailed(source_of(kind, url, tmp_path, photo))
    with pytest.raises(UserError, match='is refused: its config has'):
        Classifier(run)(photo)
    assert not asked


@pytest.mark.parametrize(
    'backbone',
    [
        {
            'type': 'VisionTransformer',
            'patch_cfg': {'conv_type': 'of_a_stranger'},
        },
        {
            'type': 'VisionTransformer',
            # A scope and a number; mmengine imports `SCOPE.registry`.
            'patch_cfg': {'conv_type': 'of_a_stranger1.2'},
        },
        {
            'type': 'ConvModule',
            'in_channels': 3,
            'out_channels': 8,
            'kernel_size': 3,
            'padding_mode': 'of_a_stranger',
        },
    ],
)
def test_names_of_modules_in_other_arguments_than_type(
    backbone, plain_run, tmp_path, monkeypatch
):
    module = f'open({str(tmp_path / "canary")!r}, "w").close()'
    (tmp_path / 'of_a_stranger.py').write_text(module)
    (tmp_path / 'of_a_stranger1').mkdir()
    (tmp_path / 'of_a_stranger1' / 'registry.py').write_text(module)
    # As where Python runs in the folder that was received.
    monkeypatch.syspath_prepend(tmp_path)
    found = torch.load(plain_run / 'best.pth', weights_only=True)
    found['meta']['cfg']['model']['backbone'] = backbone
    torch.save(found, tmp_path / 'best.pth')
    with pytest.raises(UserError, match='does not build a model'):
        Classifier(tmp_path / 'best.pth')
    assert not (tmp_path / 'canary').exists()


@pytest.mark.parametrize(
    'steps',
    [
        [
            # 1 pixel wide, which a resize makes 8 million pixels long.
            {'type': 'CenterCrop', 'crop_size': (4096, 1), 'auto_pad': True},
            {'type': 'ResizeEdge', 'scale': 2048, 'backend': 'pillow'},
        ],
        [
            {'type': 'Resize', 'scale': (4096, 4096)},
            {'type': 'NumpyToPIL'},
            *[{'type': 'torchvision/Pad', 'padding': 4096}] * 3,
            {'type': 'PILToNumpy'},
        ],
    ],
)
def test_images_that_grow(steps, plain_run, photo, tmp_path, monkeypatch):
    monkeypatch.setattr('flower_mm.inference.model.MAX_PIXELS', 1 << 25)
    found = torch.load(plain_run / 'best.pth', weights_only=True)
    dataset = found['meta']['cfg']['test_dataloader']['dataset']
    dataset['pipeline'][1:1] = steps
    torch.save(found, tmp_path / 'best.pth')
    with pytest.raises(UserError, match='an image of'):
        Classifier(tmp_path / 'best.pth')(photo)
