"""Photos a minute that headless Chromium gets through by the keyboard.

It answers each photo as soon as it is shown and waits until its decision is
saved, so that this is the time of the page, without that of a person.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compared import ROOT

sys.path.insert(0, str(ROOT / 'tests' / 'support'))

from browser import KEYS, Browser, find

SHOWN = 'document.querySelector("#frame img")?.complete === true'
DONE = 'document.querySelector("#progress").value'
LONGEST = 600  # seconds until the server is ready


def photos_a_minute(dataset: Path, weights: str, photos: int) -> float:
    program = find()
    if not program:
        raise SystemExit('no Chromium here; FLOWER_MM_CHROMIUM names one')
    KEYS.update({key: (key, ord(key.upper())) for key in 'kp'})
    with (
        tempfile.TemporaryDirectory() as profile,
        subprocess.Popen(
            [
                *(sys.executable, ROOT / 'tools' / 'review.py', dataset),
                *('--weights', weights, '--port', '0', '--no-browser'),
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        try:
            address = _address(server)
            with Browser(program, Path(profile)) as tab:
                tab.size(1280, 900)
                tab.open(address)
                _until(tab, SHOWN)
                start = time.monotonic()
                for number in range(photos):
                    tab.press('p' if number % 2 else 'k')
                    _until(tab, f'{DONE} > {number} && {SHOWN}')
                return photos / (time.monotonic() - start) * 60
        finally:
            server.terminate()


def _address(server: subprocess.Popen) -> str:
    assert server.stdout
    for line in server.stdout:
        if found := re.search(r'http://127\.0\.0\.1:\d+', line):
            return found[0]
    raise SystemExit('review did not start')


def _until(tab: Browser, condition: str) -> None:
    end = time.monotonic() + LONGEST
    while not tab.run(condition):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(0.005)
