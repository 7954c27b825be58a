"""A real browser for tests: headless Chromium, spoken to through two pipes.

`FLOWER_MM_CHROMIUM` names it; otherwise chromium, Chrome or Edge is taken
from the PATH. No driver and no package is needed for that.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Self

NAMES = (
    'chromium',
    'chromium-browser',
    'google-chrome',
    'google-chrome-stable',
    'microsoft-edge',
)
FLAGS = (
    '--headless',
    '--no-sandbox',  # which root, as in a container, cannot have
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--hide-scrollbars',
)
LONGEST = 60  # seconds for one answer
KEYS = {'Enter': ('\r', 13), 'Tab': ('', 9), ' ': (' ', 32)}


def find() -> str | None:
    named = os.environ.get('FLOWER_MM_CHROMIUM')
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one tab."""

    def __init__(self, program: str, profile: Path) -> None:
        to_it, self._write = os.pipe()
        self._read, from_it = os.pipe()

        def as_it_wants() -> None:
            # Beyond 3 and 4 first: one of the pipes may have those numbers.
            high = os.dup(to_it), os.dup(from_it)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [
                program,
                *FLAGS,
                f'--user-data-dir={profile}',
                '--remote-debugging-pipe',
                'about:blank',
            ],
            preexec_fn=as_it_wants,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_it)
        os.close(from_it)
        self._bytes = b''
        self._numbers = itertools.count(1)
        self._session = None
        self.events: list[dict] = []
        target = next(
            found['targetId']
            for found in self.call('Target.getTargets')['targetInfos']
            if found['type'] == 'page'
        )
        self._session = self.call(
            'Target.attachToTarget', targetId=target, flatten=True
        )['sessionId']
        for part in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{part}.enable')

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)  # it ends when nobody speaks to it
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def call(self, method: str, **params: object) -> dict:
        number = next(self._numbers)
        message = {'id': number, 'method': method, 'params': params}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while True:
            found = self._next()
            if found.get('id') == number:
                if 'error' in found:
                    raise RuntimeError(f'{method}: {found["error"]}')
                return found['result']
            self.events.append(found)

    def _next(self) -> dict:
        end = time.monotonic() + LONGEST
        while b'\0' not in self._bytes:
            ready, _, _ = select.select(
                [self._read], [], [], end - time.monotonic()
            )
            more = os.read(self._read, 1 << 20) if ready else b''
            if not more:
                raise TimeoutError('the browser does not answer')
            self._bytes += more
        message, _, self._bytes = self._bytes.partition(b'\0')
        return json.loads(message)

    def open(self, page: Path | str) -> None:
        """Go to a file and wait until it is loaded."""
        url = page.as_uri() if isinstance(page, Path) else page
        self.events.clear()
        self.call('Page.navigate', url=url)
        while not self.seen('Page.loadEventFired'):
            self.events.append(self._next())

    def seen(self, method: str) -> list[dict]:
        """The events of one kind since the page was opened."""
        return [e['params'] for e in self.events if e.get('method') == method]

    def run(self, script: str) -> object:
        """The value of an expression in the page."""
        found = self.call(
            'Runtime.evaluate',
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        if 'exceptionDetails' in found:
            raise RuntimeError(found['exceptionDetails'])
        return found['result'].get('value')

    def size(self, width: int, height: int, mobile: bool = False) -> None:
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )

    def media(self, kind: str = 'screen', scheme: str = 'light') -> None:
        self.call(
            'Emulation.setEmulatedMedia',
            media=kind,
            features=[{'name': 'prefers-color-scheme', 'value': scheme}],
        )

    def press(self, key: str) -> None:
        text, code = KEYS[key]
        about = {'key': key, 'code': key, 'windowsVirtualKeyCode': code}
        self.call('Input.dispatchKeyEvent', type='keyDown', text=text, **about)
        self.call('Input.dispatchKeyEvent', type='keyUp', **about)

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element."""
        x, y = self.run(
            f'(() => {{ const e = document.querySelector({selector!r});'
            'e.scrollIntoView({block: "center"});'
            'const b = e.getBoundingClientRect();'
            'return [b.x + b.width / 2, b.y + b.height / 2]; })()'
        )
        for kind in ('mousePressed', 'mouseReleased'):
            self.call(
                'Input.dispatchMouseEvent',
                type=kind,
                x=x,
                y=y,
                button='left',
                clickCount=1,
            )

    def screenshot(self, path: Path, whole: bool = True) -> None:
        found = self.call(
            'Page.captureScreenshot', captureBeyondViewport=whole
        )
        path.write_bytes(base64.b64decode(found['data']))

    def pdf(self) -> bytes:
        found = self.call(
            'Page.printToPDF', preferCSSPageSize=True, printBackground=False
        )
        return base64.b64decode(found['data'])


@contextmanager
def browser(profile: Path):
    with Browser(find(), profile) as found:
        yield found
