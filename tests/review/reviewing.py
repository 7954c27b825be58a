"""A dataset with wrong labels, and `review` as users call it."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import forked
import timm
import torch
from helpers import CLASSES, draw_photo
from safetensors.torch import save_file
from serve.serving import Answer, Served, until

from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.weights import file_hash

NAME = 'test_vit.r160_in1k'
JSON = 'application/json'
PHOTOS = 40  # of a class
# Photos of the last class that are labelled as the first one.
WRONG = [f'wrong{number}.jpg' for number in range(8)]


def make_weights(folder: Path) -> None:
    """Random weights of a small network, which tells colours apart."""
    torch.manual_seed(0)
    path = folder / f'{NAME}.safetensors'
    network = timm.create_model(NAME)
    save_file(network.state_dict(), path)
    file_hash.record(path, file_hash.sha256_of(path))


def make_dataset(folder: Path, wrong: int = len(WRONG)) -> Path:
    for label, name in enumerate(CLASSES):
        for number in range(PHOTOS):
            draw_photo(
                folder / 'photos' / name / f'{number}.jpg', label, number
            )
    for number in range(wrong):
        path = folder / 'photos' / CLASSES[0] / f'wrong{number}.jpg'
        draw_photo(path, 2, 100 + number)
    out = folder / 'mine'
    assert prepare(folder / 'photos', out, Options(val=0.25, seed=1))
    return out


@dataclass
class Reviewed(Served):
    root: Path = Path()

    def queue(self) -> dict:
        found = self.ask('/queue')
        assert found.status == 200, found.body
        return found.json

    def decide(
        self, *items: dict, action: str, label: int | None = None, **headers
    ) -> Answer:
        body = {
            'action': action,
            'label': label,
            'items': [
                {'photo': item['photo'], 'version': item['version']}
                for item in items
            ],
        }
        headers.setdefault('content_type', JSON)
        return self.ask('/decide', json.dumps(body), **headers)

    def rows(self) -> list[dict]:
        path = self.root / 'corrections.csv'
        if not path.exists():
            return []
        with path.open(encoding='utf-8', newline='') as file:
            return list(csv.DictReader(file))


@contextmanager
def reviewing(
    root: Path, folder: Path, env: dict[str, str], *args: str | Path
) -> Iterator[Reviewed]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / 'log'
    log.unlink(missing_ok=True)
    run = forked.start(
        log, 'review', root, '--port', '0', '--no-browser', '--device', 'cpu',
        *args, env=env,
    )  # fmt: skip
    try:
        until(lambda: 'Ctrl-C' in run.text or not run.process.is_alive(), 120)
        found = re.search(r'http://127\.0\.0\.1:(\d+)\n', run.text)
        assert found, run.text
        yield Reviewed(run, int(found[1]), Path(root))
    finally:
        if run.process.is_alive():
            run.process.kill()
        run.process.join()
