"""Run the page of a model until it is stopped."""

import argparse
import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from flower_mm.commands import command
from flower_mm.errors import UserError, printable
from flower_mm.serve import limits
from flower_mm.serve.connection import Connection
from flower_mm.torch_import import importing_torch
from flower_mm.user_modules import FLAG

HOST = '127.0.0.1'  # closed to other machines
HEADERS = [
    ('X-Content-Type-Options', 'nosniff'),
    ('Referrer-Policy', 'no-referrer'),
    ('Cross-Origin-Resource-Policy', 'same-origin'),
    ('Cache-Control', 'no-store'),
]


def serve(args: argparse.Namespace) -> None:
    """Answer requests until Ctrl-C or SIGTERM."""
    # Before the model is loaded, so that a port in use is reported at once.
    with _listen(args) as listener:
        with importing_torch():
            from flower_mm.inference.classifier import Classifier
            from flower_mm.process_resources import keep_memory
            from flower_mm.serve.app import Service

            keep_memory()
            classifier = Classifier(
                args.checkpoint,
                args.device,
                amp=args.amp,
                calibrated=not args.uncalibrated,
                coverage=args.coverage,
                per_class=args.per_class,
                precision=args.precision,
            )
        service = Service(classifier)
        try:
            service.warm_up()
            _log_to_stderr(args.debug)
            server = Server(_config(service.app()), service.stop)
            _print_address(service.about, listener.getsockname()[1])
            server.run([listener])
        finally:
            service.close()


def _config(app: ASGIApp) -> uvicorn.Config:
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


def _listen(args: argparse.Namespace) -> socket.socket:
    """Return a socket whose clients wait until the model is loaded."""
    listener = socket.socket()
    if os.name == 'posix':  # Windows would let two programs listen
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, args.port))
        listener.listen(limits.CONNECTIONS)
    except OSError as error:
        listener.close()
        fault = (
            'is in use, perhaps by another `serve`'
            if error.errno == errno.EADDRINUSE
            else f'cannot be opened ({error.strerror})'
        )
        options = ['--device', args.device] if args.device != 'auto' else []
        options += ['--amp'] if args.amp else []
        options += [word for name in args.imports for word in (FLAG, name)]
        other = command('serve', args.checkpoint, *options, '--port', '0')
        raise UserError(
            f'port {args.port} {fault}.\nUse a free one: {other}'
        ) from None
    return listener


def _print_address(about: dict, port: int) -> None:
    top1 = about['top1']
    accuracy = '' if top1 is None else f', validation accuracy {top1:.1f} %'
    print(
        f'  model  {about["name"]}: {about["backbone"]}, '
        f'{len(about["classes"])} classes{accuracy}\n'
        f'  page   http://{HOST}:{port}\n'
        '  stop   Ctrl-C',
        flush=True,
    )


def _log_to_stderr(debug: bool) -> None:
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
