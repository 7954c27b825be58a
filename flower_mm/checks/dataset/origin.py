"""What dataset.json knows of the photos that a run reads."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json


@dataclass(frozen=True)
class Origin:
    """The sha256 and the side of each photo by its path.

    Both are empty for a dataset that was made by hand.
    """

    sha256: dict[str, bytes] = field(default_factory=dict)
    side: dict[str, str] = field(default_factory=dict)

    def keeps_apart(self, one: list[str], other: list[str]) -> bool:
        """Whether the photos are of two sides, as they were made.

        Equal and nearly equal photos then lie on one of them.
        """
        sides = [{self.side.get(p) for p in photos} for photos in (one, other)]
        return None not in sides[0] | sides[1] and not sides[0] & sides[1]


def origin(root: Path) -> Origin:
    try:
        record = dataset_json.load(root)
    except UserError:
        # Not prepared, or by another version: training takes it all the same.
        return Origin()
    found = Origin()
    for side, photos in record['files'].items():
        folder = Path(record['photos'] or root / side).absolute()
        for name, sha in photos.items():
            path = f'{folder}{os.sep}{name.replace("/", os.sep)}'
            found.sha256[path] = bytes.fromhex(sha)
            found.side[path] = side
    return found
