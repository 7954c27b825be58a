"""Responses of `serve`, and the requests that it refuses."""

import base64
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forked
import pytest
from helpers import CLASSES, ROOT, tool
from PIL import Image
from serving import FORM, SLOW, Served, form, serving, until

from flower_mm import Classifier
from flower_mm.weights.read_checkpoint import read_checkpoint


@pytest.fixture(scope='module')
def served(plain_run: Path, tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp('served')
    with serving(plain_run / 'best.pth', folder) as found:
        yield found


@pytest.fixture(scope='module')
def one(photos: Path) -> bytes:
    return (photos / CLASSES[0] / '000.jpg').read_bytes()


@pytest.fixture(scope='module')
def expected(plain_run: Path, one: bytes) -> dict:
    found = Classifier(plain_run / 'best.pth', device='cpu')(one)
    return pytest.approx(found.probabilities, abs=1e-6)


def test_photo_in_a_form(served, one, expected):
    (found,) = served.post(one).photos
    assert found.keys() == {'name', 'label', 'confidence', 'probabilities'}
    assert found['name'] == '0.jpg'
    assert found['probabilities'] == expected
    assert list(found['probabilities']) == CLASSES
    assert found['label'] in CLASSES
    assert found['confidence'] == max(found['probabilities'].values())
    assert found['probabilities'][found['label']] == found['confidence']


def test_photo_as_the_body(served, one, expected):
    answer = served.ask('/predict', one, content_type='image/jpeg')
    assert answer.headers['Content-Type'] == 'application/json'
    (found,) = answer.photos
    assert found['probabilities'] == expected


def test_bad_photos_between_good_ones(served, one):
    good, text, cut, empty, last = served.post(
        one, b'no photo', one[:-400], b'', one
    ).photos
    assert good['probabilities'] == last['probabilities']
    assert text == {'name': '1.jpg', 'error': 'not a photo by its content'}
    assert cut == {'name': '2.jpg', 'error': 'truncated: its end is missing'}
    assert empty.keys() == {'name', 'error'}


def test_heat_map(served, one):
    (found,) = served.post(one, path='/predict?heat=1').photos
    for name in ('seen', 'heat'):
        kind, _, data = found[name].partition(',')
        assert kind == 'data:image/jpeg;base64'
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.size == (32, 32)
    assert found['seen'] != found['heat']


def test_names_of_photos(served, one):
    names = ['étoile.jpg', '<b>&amp;.jpg', '../../etc/passwd', 'a\\b.jpg']
    body = form([(name, one) for name in names])
    found = served.ask('/predict', body, content_type=FORM).photos
    assert [photo['name'] for photo in found] == names
    long = served.ask(
        '/predict', form([('x' * 3000, one)]), content_type=FORM
    ).photos[0]['name']
    assert len(long) < 300


@pytest.mark.parametrize(
    ('body', 'kind', 'status'),
    [
        (b'', FORM, 400),
        (form([]), FORM, 400),
        (form([('a.jpg', b'x')], field='other'), FORM, 400),
        (form([('', b'')]), FORM, 400),
        (form([('a.jpg', b'x')])[:-9], FORM, 400),
        (b'rubbish', FORM, 400),
        (form([('a.jpg', b'x')]), 'multipart/form-data', 400),
        (b'', 'image/png', 400),
        (b'x', 'application/x-www-form-urlencoded', 415),
        (b'x', '', 415),
        (b'x', 'text/plain', 415),
    ],
)
def test_request_without_a_photo(served, body, kind, status):
    output = served.run.text
    answer = served.ask('/predict', body, 'POST', content_type=kind)
    assert answer.status == status
    assert len(answer.error) > 10
    assert served.run.text == output


def test_unknown_addresses_and_methods(served, one):
    assert served.ask('/nothing').status == 404
    assert '/predict' in served.ask('/nothing').error
    wrong = served.ask('/predict')
    assert wrong.status == 405
    assert wrong.headers['Allow'] == 'POST'
    assert wrong.error
    assert served.ask('/health', one, 'DELETE').status == 405
    socket = {'upgrade': 'websocket', 'connection': 'Upgrade'}
    assert served.ask('/health', **socket).status == 200
    assert 'warning' not in served.run.text


def test_health(served, one, plain_run):
    before = served.health()
    assert before['status'] == 'ok'
    assert before['model']['classes'] == CLASSES
    sha256 = hashlib.sha256((plain_run / 'best.pth').read_bytes()).hexdigest()
    assert before['model']['sha256'] == sha256
    metrics = read_checkpoint(plain_run / 'best.pth')['meta']['metrics']
    assert before['model']['top1'] == metrics['accuracy/top1']
    answer = served.post(one, b'bad')
    assert answer.json['model'] == {'name': 'best.pth', 'sha256': sha256}
    served.post()
    after = served.health()
    assert {
        name: after['served'][name] - before['served'][name]
        for name in after['served']
    } == {'requests': 1, 'refused': 1, 'photos': 2, 'bad': 1}
    assert after['under_way'] == {'photos': 0, 'bytes': 0}


def test_host_header(served, one):
    """DNS rebinding: another page whose name points to this machine."""
    for host in ('evil.example', 'localhost.evil.example', '0.0.0.0', ''):
        for path in ('/', '/health'):
            answer = served.ask(path, host=host)
            assert answer.status == 400
            assert CLASSES[0].encode() not in answer.body
        answer = served.ask(
            '/predict', one, content_type='image/jpeg', host=host
        )
        assert answer.status == 400
    port = served.port
    for host in ('localhost', f'LOCALHOST:{port}', f'[::1]:{port}'):
        assert served.ask('/health', host=host).status == 200


def test_origin_header(served, one):
    def post(**headers: str) -> int:
        return served.ask(
            '/predict', one, content_type='image/jpeg', **headers
        ).status

    for origin in (
        'http://evil.example',
        'null',
        f'https://127.0.0.1:{served.port}',
        'http://127.0.0.1:1',
        f'http://127.0.0.1.evil.example:{served.port}',
    ):
        assert post(origin=origin) == 403
    assert post(origin=served.address) == 200
    tunnel = 'localhost:1234'
    assert post(origin=f'http://{tunnel}', host=tunnel) == 200
    assert post() == 200


def test_security_headers(served):
    page = served.ask('/')
    assert page.status == 200
    policy = page.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy
    refused = (served.ask('/no'), served.post(), served.ask('/', host='x'))
    for answer in (page, served.ask('/health'), *refused):
        assert answer.headers['X-Content-Type-Options'] == 'nosniff'
        assert answer.headers['Referrer-Policy'] == 'no-referrer'
        assert answer.headers['Cache-Control'] == 'no-store'
        assert answer.headers['Access-Control-Allow-Origin'] is None


def test_it_listens_on_this_machine_only(served):
    addresses = Path(f'/proc/{served.pid}/net/tcp')
    if not addresses.exists():
        pytest.skip('no /proc here')
    mine = [
        line.split()[1]
        for line in addresses.read_text().splitlines()
        if f':{served.port:04X} 00000000:0000' in line
    ]
    assert mine == [f'0100007F:{served.port:04X}']


def test_error_of_the_model(plain_run, one, tmp_path):
    first = """
from flower_mm.serve import prediction_json
def broken(*args): raise RuntimeError('no memory on the device')
prediction_json.heat_maps = lambda *args: [__import__('numpy').zeros((32, 32))]
prediction_json.thumbnail = broken
"""
    # The warm-up makes pictures, too.
    run = forked.start(
        tmp_path / 'log',
        'serve',
        *(plain_run / 'best.pth', '--port', '0'),
        first=str(_script(tmp_path, first)),
    )
    assert run.wait() == 1
    assert 'no memory on the device' in run.text
    assert 'Traceback' not in run.text
    later = """
from flower_mm.serve import prediction_json
thumbnail = prediction_json.thumbnail
def broken(seen, side):
    prediction_json.thumbnail = fail
    return thumbnail(seen, side)
def fail(*args): raise RuntimeError('no memory on the device')
prediction_json.thumbnail = broken
"""
    with serving(plain_run / 'best.pth', tmp_path / 'b', first=later) as found:
        answer = found.post(one, path='/predict?heat=1')
        assert answer.status == 500
        assert 'no memory on the device' in answer.error
        assert answer.headers['X-Content-Type-Options'] == 'nosniff'
        assert found.post(one).status == 200
        assert 'error: ' in found.run.text
        assert 'Traceback' not in found.run.text


def _script(folder: Path, text: str) -> Path:
    path = folder / 'first.py'
    path.write_text(text)
    return path


def test_port_in_use(plain_run, tmp_path):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = str(other.getsockname()[1])
        run = forked.start(
            tmp_path / 'log',
            'serve',
            *(plain_run / 'best.pth', '--port', port, '--device', 'cpu'),
        )
        assert run.wait() == 2
    assert f'port {port} is in use' in run.text
    assert '--device cpu --port 0' in run.text
    assert 'Traceback' not in run.text


def test_file_that_is_not_a_model(tmp_path):
    (tmp_path / 'best.pth').write_bytes(b'no model')
    run = forked.start(
        tmp_path / 'log', 'serve', tmp_path / 'best.pth', '--port', '0'
    )
    assert run.wait() == 2
    assert 'best.pth' in run.text


def test_help_without_torch_and_invalid_port(tmp_path):
    watched = tmp_path / 'sitecustomize.py'
    watched.write_text(
        'import atexit, sys\n'
        'atexit.register(lambda: print("torch" in sys.modules, "mmengine" in '
        'sys.modules, "uvicorn" in sys.modules))'
    )
    # A process of its own, as the forks of `tool` have torch loaded.
    shown = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'serve.py', '--help'],
        env=os.environ
        | {'PYTHONPATH': os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert '--port' in shown
    assert shown.endswith('False False False\n')
    wrong = tool('serve', 'best.pth', '--port', '65536', check=False)
    assert wrong.returncode == 2
    assert 'must be 0 to 65535' in wrong.stderr


@pytest.mark.parametrize(
    ('number', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_current_requests_are_finished(plain_run, one, tmp_path, number, code):
    with (
        serving(plain_run / 'best.pth', tmp_path, first=SLOW) as served,
        ThreadPoolExecutor(3) as clients,
    ):
        asked = [clients.submit(served.post, one, one) for _ in range(3)]
        until(lambda: served.waiting() == 6)
        idle = served.connect(b'GET /health')
        assert served.stop(number) == code
        for request in asked:
            assert len(request.result().photos) == 2
        assert idle.recv(1000) == b''
        with pytest.raises(ConnectionRefusedError):
            served.health()
    assert 'Traceback' not in served.run.text
    assert served.run.text.endswith('stopped\n')


def test_response_is_strict_json(served, one):
    """For clients that reject NaN."""
    body = served.post(one).body.decode()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(body, parse_constant=refuse)
    assert 'étoile' in body
