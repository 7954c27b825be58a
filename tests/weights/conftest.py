import pytest
import torch
from home_server import DIGEST, running

from flower_mm.weights import url_download
from flower_mm.weights.pretrained_table import Entry, UrlHome


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)


@pytest.fixture
def serve(monkeypatch):
    """A running server; `serve.url` is its address."""
    monkeypatch.setattr(url_download, 'PAUSES', (0.0, 0.0))
    with running() as server:
        yield server


@pytest.fixture
def entry(serve):
    """A function that makes an entry out of ways to answer."""

    def make(*ways, sha256=DIGEST, expired=''):
        homes = [
            UrlHome(
                source=way,
                url=f'{serve.url}/{way}/file.pth',
                licence='MIT',
                file='file.pth',
                sha256=sha256,
                expired=expired,
            )
            for way in ways
        ]
        return Entry('thing', 'a thing', 1, tuple(homes))

    return make
