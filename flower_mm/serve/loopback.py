"""A server whose pages are closed to other machines."""

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from flower_mm.errors import UserError, printable
from flower_mm.serve import limits
from flower_mm.serve.connection import Connection

HOST = '127.0.0.1'  # closed to other machines
HEADERS = [
    ('X-Content-Type-Options', 'nosniff'),
    ('Referrer-Policy', 'no-referrer'),
    ('Cross-Origin-Resource-Policy', 'same-origin'),
    ('Cache-Control', 'no-store'),
]


def listen(port: int, name: str, other: str) -> socket.socket:
    """Return a socket whose clients wait until the server runs.

    Args:
        port: The port, 0 for any free one.
        name: The command that is running.
        other: The command with another port, for a message.
    """
    listener = socket.socket()
    if os.name == 'posix':  # Windows would let two programs listen
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(limits.CONNECTIONS)
    except OSError as error:
        listener.close()
        fault = (
            f'is in use, perhaps by another `{name}`'
            if error.errno == errno.EADDRINUSE
            else f'cannot be opened ({error.strerror})'
        )
        raise UserError(
            f'port {port} {fault}.\nUse a free one: {other}'
        ) from None
    return listener


def config_of(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop='asyncio',
        http=Connection,
        ws='none',
        lifespan='off',
        log_config=None,
        log_level='warning',
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=HEADERS,
        timeout_keep_alive=limits.IDLE_SECONDS,
        timeout_graceful_shutdown=limits.STOP_SECONDS,
        h11_max_incomplete_event_size=limits.HEAD_BYTES,
    )


class Server(uvicorn.Server):
    """A uvicorn server that calls `stop` before it shuts down."""

    def __init__(
        self, config: uvicorn.Config, stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._stop = stop

    async def shutdown(
        self, sockets: list[socket.socket] | None = None
    ) -> None:
        if self.server_state.tasks:
            print(
                'finishing current requests; Ctrl-C again cancels them',
                file=sys.stderr,
                flush=True,
            )
        self._stop()
        await super().shutdown(sockets)


def log_to_stderr(debug: bool) -> None:
    """Print warnings of uvicorn as one line, with --debug as tracebacks."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(debug))
    # A second Ctrl-C cancels requests on purpose.
    handler.addFilter(
        lambda record: (
            not (
                record.exc_info
                and isinstance(record.exc_info[1], asyncio.CancelledError)
            )
        )
    )
    logger = logging.getLogger('uvicorn')
    logger.addHandler(handler)
    logger.propagate = False
    # The client gets the error of an invalid form.
    logging.getLogger('python_multipart').setLevel(logging.ERROR)


class _Lines(logging.Formatter):
    def __init__(self, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        text = f'{record.levelname.lower()}: {record.getMessage().strip()}'
        if not record.exc_info:
            return text
        if self._debug:
            return f'{text}\n{self.formatException(record.exc_info)}'
        error = record.exc_info[1]
        return f'{text}: {type(error).__name__}: {printable(str(error))}'
