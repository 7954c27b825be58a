"""Run the page of a model until it is stopped."""

import argparse
import socket

from flower_mm.commands import command
from flower_mm.serve.loopback import (
    HOST,
    Server,
    config_of,
    listen,
    log_to_stderr,
)
from flower_mm.torch_import import importing_torch
from flower_mm.user_modules import FLAG


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
                find_unknown=not args.no_unknown,
            )
        service = Service(classifier)
        try:
            service.warm_up()
            log_to_stderr(args.debug)
            server = Server(config_of(service.app()), service.stop)
            _print_address(service.about, listener.getsockname()[1])
            server.run([listener])
        finally:
            service.close()


def _listen(args: argparse.Namespace) -> socket.socket:
    options = ['--device', args.device] if args.device != 'auto' else []
    options += ['--amp'] if args.amp else []
    options += [word for name in args.imports for word in (FLAG, name)]
    other = command('serve', args.checkpoint, *options, '--port', '0')
    return listen(args.port, 'serve', other)


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
