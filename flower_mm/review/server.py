"""Run the page that reviews labels until it is stopped."""

import argparse
import getpass
import os
import sys
import webbrowser
from collections import Counter
from pathlib import Path

from flower_mm.commands import command
from flower_mm.errors import printable
from flower_mm.prepare.corrections import Corrections
from flower_mm.review.dataset_photos import ReviewedDataset, read_dataset
from flower_mm.serve.loopback import (
    HOST,
    Server,
    config_of,
    listen,
    log_to_stderr,
)
from flower_mm.torch_import import importing_torch

MOST_NAME = 80  # characters


def review(args: argparse.Namespace) -> None:
    """Answer requests until Ctrl-C or SIGTERM."""
    root = Path(args.dataset)
    dataset = read_dataset(root)
    corrections = Corrections(root)
    corrections.require_writable()
    other = command('review', root, '--port', '0')
    # Before the queue is made, so that a port in use is reported at once.
    with listen(args.port, 'review', other) as listener:
        with importing_torch():
            from flower_mm.review.app import Review
            from flower_mm.review.evidence import evidence_of
            from flower_mm.review.queue import build_queue

        evidence = evidence_of(dataset, args)
        items, more = build_queue(
            dataset, evidence, _decided(dataset, corrections)
        )
        next_command = command(
            'prepare',
            root,
            '--apply-corrections',
            '--out',
            root.with_name(f'{root.resolve().name}_corrected'),
        )
        page = Review(
            dataset,
            items,
            more,
            evidence.source,
            corrections,
            printable(args.who or _user(), MOST_NAME),
            next_command,
        )
        log_to_stderr(args.debug)
        server = Server(config_of(page.app()), lambda: None)
        address = f'http://{HOST}:{listener.getsockname()[1]}'
        print(f'  queue  {_counts(items)}')
        print(f'  model  {evidence.source}')
        print(f'  page   {address}\n  stop   Ctrl-C', flush=True)
        if args.browser and _has_display():
            webbrowser.open(address)
        try:
            server.run([listener])
        finally:
            print(f'  next   {next_command}', flush=True)


def _decided(dataset: ReviewedDataset, corrections: Corrections) -> list[int]:
    return [
        i
        for i, photo in enumerate(dataset.photos)
        if corrections.decision(photo.key)
    ]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without this user
        return 'unknown'


def _counts(items: list) -> str:
    counts = Counter(item.reasons[0] for item in items)
    parts = [f'{count} {reason}' for reason, count in counts.most_common()]
    return f'{len(items)} photos' + (f' ({", ".join(parts)})' * bool(parts))


def _has_display() -> bool:
    """Return whether a window can open; a text browser would take over."""
    if sys.platform in ('win32', 'darwin'):
        return True
    return bool(os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY'))
