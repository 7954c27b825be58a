"""The page itself: one file, that may run and load nothing but its own."""

import base64
import hashlib
import re
from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse


class Page:
    def __init__(self) -> None:
        folder = resources.files('flower_mm.serve')
        text = (folder / 'page.html').read_text(encoding='utf-8')
        style, script = (_digest(text, part) for part in ('style', 'script'))
        policy = (
            f"default-src 'none'; style-src {style}; script-src {script}; "
            "img-src data: blob:; connect-src 'self'; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        self._text = text
        self._headers = {'Content-Security-Policy': policy}

    async def get(self, _: Request) -> HTMLResponse:
        return HTMLResponse(self._text, headers=self._headers)


def _digest(text: str, part: str) -> str:
    """The one part of this kind, as a policy names it."""
    (found,) = re.findall(f'<{part}>(.*?)</{part}>', text, re.DOTALL)
    digest = hashlib.sha256(found.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
