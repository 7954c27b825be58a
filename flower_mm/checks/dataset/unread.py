"""Which files in the class folders are passed over for their endings?

MMPretrain's CustomDataset takes some endings and is silent about the others.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from mmpretrain.datasets import CustomDataset

from flower_mm.checks.case import Case, Split
from flower_mm.checks.dataset.broken import loading
from flower_mm.checks.remedy import option
from flower_mm.prepare.class_folders import is_clutter, is_photo_name


@dataclass(frozen=True)
class Unread:
    """Files that are passed over, and how they are not."""

    files: list[Path]
    where: str
    mend: str

    def __str__(self) -> str:
        endings = sorted({f.suffix or 'none' for f in self.files})
        return (
            f'{len(self.files)} file(s) with endings that are not read '
            f'({", ".join(endings)}), such as {self.files[0]}'
        )


def unread(
    case: Case, split: Split, names: list[str], whatever: bool = False
) -> Unread | None:
    """Photos in the folders of these classes, or files of `whatever` kind."""
    dataset = split.dataset
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if not isinstance(dataset, CustomDataset) or dataset.ann_file:
        return None
    files = [
        file
        for name in names
        for file in sorted((Path(dataset.img_prefix) / name).rglob('*'))
        if not dataset.is_valid_file(file.name)
        and not is_clutter(file.name)
        and (whatever or is_photo_name(file.name))
        and file.is_file()
    ]
    if not files:
        return None
    *_, (place, _) = case.parts(split.loader)
    where = f'{place}.extensions'
    # Each ending is to be one that the run can load.
    first = {file.suffix.lower(): str(file) for file in reversed(files)}
    why_not = loading(case, split.loader)
    if '' in first or not why_not or any(map(why_not, first.values())):
        folder = shlex.quote(str(files[0].parent))
        return Unread(files, folder, 'save them as JPEG, with the ending .jpg')
    endings = sorted({*dataset.extensions, *first})
    return Unread(files, where, option(where, endings))
