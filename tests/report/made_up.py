"""Synthetic predictions and runs, and the content of their pages."""

import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from flower_mm.report.confusion_table import rows_of_cells
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.html import Photo, render_report
from flower_mm.report.nearest_photos import NearestPhotos, Neighbour
from flower_mm.report.predictions import Predictions
from flower_mm.report.report_data import report_of
from flower_mm.report.result_warnings import warnings_of
from flower_mm.report.run_folder import Run, read_run

FLOWERS = ['daisy', 'dandelion', 'rose', 'sunflower', 'tulip']
RTL, BIDI = '\u202e', '\u2066'
# Names that are more than names to a page that takes them as they are.
NASTY = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    f'back{RTL}wards{BIDI}',
    '{{ 7 * 7 }}</style></title>$x_{$',
]
EVALUATION = {
    'split': 'val',
    'folds': None,
    'checkpoint_sha256': '0' * 64,
    'predictions_sha256': '1' * 64,
    'files_sha256': '2' * 64,
    'images_per_second': 12.5,
    'device': 'a machine',
    'checkpoint_epoch': None,
    'checkpoint_top1': None,
    'checkpoint_seed': None,
    'checkpoint_dataset_sha256': None,
    'replaced_photos': 0,
    'near_duplicates': None,
    'dataset_changed': False,
}
VOID = {'meta', 'img', 'br', 'link', 'input', 'source', 'hr'}


def predictions(
    photos: int = 200,
    classes: list[str] = FLOWERS,
    surety: float = 3.0,
    seed: int = 0,
) -> Predictions:
    """Of a model that is the better the larger `surety`."""
    rng = np.random.default_rng(seed)
    count = len(classes)
    labels = rng.integers(0, count, photos)
    logits = rng.normal(size=(photos, count))
    logits[np.arange(photos), labels] += surety
    powers = np.exp(logits)
    scores = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    paths = [
        f'/photos/val/{classes[label].replace("/", "_")}/{i:04}.jpg'
        for i, label in enumerate(labels)
    ]
    return Predictions(paths, labels, scores, list(classes))


def run(folder: Path, **record: object) -> Run:
    """A run of which there is no more than run.json."""
    folder.mkdir(parents=True, exist_ok=True)
    text = '{"status": "finished", "result": {"epochs": 5, "max_epochs": 5}}'
    (folder / 'run.json').write_text(text)
    found = read_run(folder)
    return Run(folder, found.record | record, found.scalars)


def page(
    made: Run, found: Predictions, evaluation: dict = EVALUATION
) -> tuple[str, dict]:
    """report.html of these predictions with grey photos, and its figures."""
    report = report_of(made, Evaluation(found, evaluation), None)
    jpeg = io.BytesIO()
    Image.new('RGB', (60, 60), 'grey').save(jpeg, 'JPEG')
    grey = Photo(*[jpeg.getvalue()] * 3)
    photos = dict.fromkeys(found.photos, grey)
    cells = rows_of_cells(found)
    neighbour = f'/photos/train/{found.classes[-1]}/1.jpg'
    nearest = NearestPhotos(
        {
            photo: [Neighbour(neighbour, found.classes[-1], 0.5)] * 4
            for photo in found.photos
        },
        searched=300,
        trained=400,
    )
    text = render_report(
        *(report, made, photos, cells, jpeg.getvalue(), nearest),
        {neighbour: jpeg.getvalue()},
    )
    return text, report


class Page(HTMLParser):
    """Tags, attributes and text; whether each tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text, self.scripts, self._open = '', [], []
        self.pictures, self._section = 0, ''  # of the section on errors
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == 'section':
            self._section = dict(attrs)['id']
        self.pictures += tag == 'img' and self._section == 'errors'
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == 'script':
            self.scripts.append(data)
        elif not self._open or self._open[-1] != 'style':
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


def figures(folder: Path) -> dict:
    return json.loads((folder / 'report.json').read_text('utf-8'))


def codes(folder: Path) -> list[str]:
    """The codes of the warnings, but that of the small random network."""
    return [w['code'] for w in warnings_of(figures(folder))]


def page_of(folder: Path) -> Page:
    return Page((folder / 'report.html').read_text('utf-8'))


def text_of(page: Path) -> str:
    return Page(page.read_text('utf-8')).text


def note(folder: Path, **values: object) -> None:
    """Let run.json say something else."""
    record = json.loads((folder / 'run.json').read_text('utf-8'))
    text = json.dumps(record | values)
    (folder / 'run.json').write_text(text, 'utf-8')
