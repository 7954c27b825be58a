"""From the command line to a page that answers."""

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

HOST = '127.0.0.1'  # whoever is on another machine has no business here


def serve(args: argparse.Namespace) -> None:
    """Answer until Ctrl-C or SIGTERM."""
    # Before the model is loaded: a port that is taken is told at once.
    with _listening(args) as listener:
        with importing_torch():
            from flower_mm.allocator import keep_memory
            from flower_mm.inference.classifier import Classifier
            from flower_mm.serve.app import Service

            keep_memory()
            classifier = Classifier(args.checkpoint, args.device, amp=args.amp)
        service = Service(classifier)
        try:
            service.warm_up()
            _tell_warnings(args.debug)
            server = Server(_config(service.app()), service.stop)
            _say(service.about, listener.getsockname()[1])
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
        timeout_keep_alive=limits.IDLE_SECONDS,
        timeout_graceful_shutdown=limits.STOP_SECONDS,
        h11_max_incomplete_event_size=limits.HEAD_BYTES,
    )


class Server(uvicorn.Server):
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
                'answering what is under way; Ctrl-C again leaves it',
                file=sys.stderr,
                flush=True,
            )
        self._stop()
        await super().shutdown(sockets)


def _listening(args: argparse.Namespace) -> socket.socket:
    """Whoever comes now is answered as soon as the model is there."""
    listener = socket.socket()
    if os.name == 'posix':  # Windows would let two programs listen
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, args.port))
        listener.listen(limits.CONNECTIONS)
    except OSError as error:
        listener.close()
        why = (
            'is taken, perhaps by a page that runs already'
            if error.errno == errno.EADDRINUSE
            else f'cannot be used ({error.strerror})'
        )
        options = ['--device', args.device] if args.device != 'auto' else []
        options += ['--amp'] if args.amp else []
        options += [word for name in args.imports for word in (FLAG, name)]
        other = command('serve', args.checkpoint, *options, '--port', '0')
        raise UserError(
            f'port {args.port} {why}.\nThis takes one that is free: {other}'
        ) from None
    return listener


def _say(about: dict, port: int) -> None:
    top1 = about['top1']
    measured = f', {top1:.1f} % right on val' if top1 is not None else ''
    print(
        f'  model  {about["name"]}: {about["backbone"]}, '
        f'{len(about["classes"])} classes{measured}\n'
        f'  page   http://{HOST}:{port}\n'
        '  end    Ctrl-C',
        flush=True,
    )


def _tell_warnings(debug: bool) -> None:
    """One line each on stderr; with --debug, tracebacks follow."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(debug))
    # Who ends the server ends what is under way, and knows it.
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
    # A damaged form is told to whoever sent it.
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
        kind, error, _ = record.exc_info
        return f'{text}: {kind.__name__}: {printable(str(error))}'
