"""Two profiles, and how many inputs each reader was tried on.

FLOWER_MM_FUZZ=long tries thousands for each reader, others every time.
FLOWER_MM_FUZZ_COUNTS names a JSON file that gets the numbers.
FLOWER_MM_FUZZ_PART=1/4 takes the second of every four tests.
"""

import json
import os
from pathlib import Path

from rubbish import COUNTS


def pytest_collection_modifyitems(items):
    if part := os.environ.get('FLOWER_MM_FUZZ_PART'):
        first, step = map(int, part.split('/'))
        items[:] = items[first::step]


def pytest_sessionfinish():
    name = os.environ.get('FLOWER_MM_FUZZ_COUNTS')
    if name:
        Path(name).write_text(json.dumps(dict(sorted(COUNTS.items()))) + '\n')
