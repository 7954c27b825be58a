"""Take the picture of a report that README shows, with headless Chromium.

python docs/hooks/report_picture.py work_dirs/demo_flower/report.html
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

PICTURE = Path(__file__).parents[1] / 'report.png'
WIDTH, HEIGHT = 1000, 1135  # pixels
COLOURS = 128  # a palette halves the file


def main(report: str) -> None:
    browser = shutil.which('chromium') or 'chromium'
    with TemporaryDirectory() as folder:
        full = Path(folder) / 'full.png'
        subprocess.run(
            [
                *(browser, '--headless', '--no-sandbox', '--hide-scrollbars'),
                *(f'--window-size={WIDTH},{HEIGHT}', f'--screenshot={full}'),
                Path(report).resolve().as_uri(),
            ],
            check=True,
            timeout=120,
            capture_output=True,
        )
        with Image.open(full) as picture:
            small = picture.convert('RGB').quantize(COLOURS)
        small.save(PICTURE, optimize=True)
    print(f'{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
    main(sys.argv[1])
