"""Datasets as people make them by hand: class folders, lists, classes.txt."""

from pathlib import Path

from examining import TINY_ON_BASE
from helpers import draw_photo

Counts = dict[str, int]  # photos of each class

# Our model, MMPretrain's dataset, as a config from elsewhere has it.
CUSTOM = """
photos = dict(
    _delete_=True, type='CustomDataset', data_root='ROOT', NAMES
    pipeline=train_pipeline)
train_dataloader = dict(
    dataset=dict(ann_file='train.txt', data_prefix='train', **photos))
val_dataloader = dict(
    dataset=dict(ann_file='val.txt', data_prefix='val', **photos))
test_dataloader = dict(
    dataset=dict(ann_file='val.txt', data_prefix='val', **photos))
"""
FOLDERS = CUSTOM.replace("ann_file='train.txt', ", '').replace(
    "ann_file='val.txt', ", ''
)


def make_dataset(root: Path, **splits: Counts) -> Path:
    """Draw photos of each split; the first one gives the order of classes."""
    classes = list(next(iter(splits.values())))
    root.mkdir(parents=True, exist_ok=True)
    write_lines(root / 'classes.txt', classes)
    for number, (split, counts) in enumerate(splits.items()):
        lines = []
        for name, count in counts.items():
            label = classes.index(name)
            for i in range(count):
                photo = f'{name}/{i:03}.jpg'
                draw_photo(root / split / photo, label, 1000 * number + i)
                lines.append(f'{photo} {label}')
        write_lines(root / f'{split}.txt', lines)
    return root


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding='utf-8').splitlines()


def custom(root: Path, names: str = '', text: str = CUSTOM) -> str:
    """Return a config that reads `root` with MMPretrain's CustomDataset."""
    text = text.replace('ROOT', root.as_posix()).replace('NAMES', names)
    return TINY_ON_BASE + text
