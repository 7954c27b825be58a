"""A page that only this machine's browser can read and use."""

import base64
import hashlib
import re
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse

# A page can make its own name point to this machine (DNS rebinding) to read
# the responses: the host of a request has to be this machine's name.
HOSTS = ['localhost', '127.0.0.1', '[::1]']
OWN_HOST = Middleware(TrustedHostMiddleware, HOSTS, www_redirect=False)


def load_page(package: str, images: str = 'data: blob:') -> HTMLResponse:
    """Return page.html, which may run and load its own parts only.

    `images` are the sources of its pictures.
    """
    path = resources.files(package) / 'page.html'
    text = path.read_text(encoding='utf-8')
    hashes = []
    for tag in ('style', 'script'):
        (part,) = re.findall(f'<{tag}>(.*?)</{tag}>', text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest())
        hashes.append(f"{tag}-src 'sha256-{digest.decode()}'")
    policy = (
        f"default-src 'none'; {'; '.join(hashes)}; img-src {images}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(text, headers={'Content-Security-Policy': policy})


def require_same_origin(request: Request) -> None:
    """Refuse requests from another page; programs send no Origin."""
    origin = request.headers.get('origin')
    if origin not in (None, f'http://{request.headers["host"]}'):
        raise HTTPException(403, 'requests from other pages are refused')
