"""Two profiles, and how many inputs each reader was tried on.

FLOWER_MM_FUZZ=long tries thousands for each reader, others every time.
FLOWER_MM_FUZZ_COUNTS names a JSON file that gets the numbers.
"""

import json
import os
from pathlib import Path

from rubbish import COUNTS


def pytest_sessionfinish():
    name = os.environ.get('FLOWER_MM_FUZZ_COUNTS')
    if name:
        Path(name).write_text(json.dumps(dict(sorted(COUNTS.items()))) + '\n')
