import pytest
import torch
from home_server import DIGEST, running

from flower_mm.weights import download
from flower_mm.weights.pretrained_table import Entry, Home


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def serve(monkeypatch):
    """A running server; `serve.url` is its address."""
    monkeypatch.setattr(download, 'PAUSES', (0.0, 0.0))
    with running() as server:
        yield server


@pytest.fixture
def entry(serve):
    """A function that makes an entry out of ways to answer."""

    def make(*ways, sha256=DIGEST, lapsed=''):
        homes = [
            Home(way, f'{serve.url}/{way}/file.pth', 'MIT', 'file.pth',
                 sha256=sha256, lapsed=lapsed)
            for way in ways
        ]  # fmt: skip
        return Entry('thing', 'a thing', 1, tuple(homes))

    return make
