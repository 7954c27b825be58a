"""What keeps other pages in the same browser away from this one.

Any page that is open may send requests to this machine. It cannot read the
answers, unless its own name is made to point here (DNS rebinding): the name
that was asked for has to be this machine's, and what posts photos has to be
our page or no page at all.
"""

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ('localhost', '127.0.0.1', '[::1]')
SAFE = ('GET', 'HEAD', 'OPTIONS')  # methods that change nothing
ALWAYS = (
    (b'x-content-type-options', b'nosniff'),
    (b'referrer-policy', b'no-referrer'),
    (b'cross-origin-resource-policy', b'same-origin'),
    (b'cache-control', b'no-store'),
)


def guarded(app: ASGIApp) -> ASGIApp:
    return WithHeaders(
        TrustedHostMiddleware(SameOrigin(app), HOSTS, www_redirect=False)
    )


class WithHeaders:
    """Sends the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def send_more(message: Message) -> None:
            if message['type'] == 'http.response.start':
                headers = [*message['headers'], *ALWAYS]
                message = message | {'headers': headers}
            await send(message)

        await self._app(scope, receive, send_more)


class SameOrigin:
    """Refuses what another page posts; programs send no Origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = Headers(scope=scope)
        origin = headers.get('origin')
        ours = origin is None or origin == f'http://{headers["host"]}'
        app = self._app
        if not ours and scope['method'] not in SAFE:
            app = JSONResponse(
                {'error': 'a page of another address may not ask this one'},
                403,
            )
        await app(scope, receive, send)
