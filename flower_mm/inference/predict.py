"""tools/predict.py: photos in, classes out."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from flower_mm.console import progress
from flower_mm.decoding import read_bytes
from flower_mm.errors import UserError
from flower_mm.exit_codes import OK, YOURS
from flower_mm.inference import prediction_files
from flower_mm.inference.classifier import Classifier, Prediction, Unread
from flower_mm.inference.photo_files import Found, find
from flower_mm.inference.prediction_files import STDOUT, UNSURE, Write
from flower_mm.inference.sort_into_folders import Sorter
from flower_mm.torch_import import importing_torch


def predict(args: argparse.Namespace) -> int:
    """The exit code: that of a mistake where photos had to be passed over."""
    if args.csv and args.csv == args.json:
        raise UserError(
            f'--csv {args.csv} and --json {args.json} are the same; name '
            'another file for one of them'
        )
    bad: list[Unread] = []
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        photos = _found(args.photos, bad, stack)
        with importing_torch():
            from flower_mm.allocator import keep_memory

            keep_memory()
            classifier = Classifier(
                args.checkpoint, args.device, args.batch_size, args.amp
            )
        labels = _labels(classifier.classes, args.threshold)
        sorter = None
        if args.sort_into:
            sorter = Sorter(args.sort_into, labels)
            photos = _not_sorted_yet(photos, sorter)
        for path in filter(None, (args.csv, args.json)):
            _refuse_to_lose(path, args, photos)
        outputs = _outputs(args, classifier, bad, stack)

        def take(photo: Found, found: Prediction) -> None:
            sure = found.confidence >= args.threshold
            label = found.label if sure else UNSURE
            counts[label] += 1
            for output in outputs:
                output(found, label)
            if sorter:
                sorter.copy(photo, label)

        begin = time.perf_counter()
        with (
            closing(_results(classifier, photos)) as results,
            progress(len(photos), 'predicting') as advance,
        ):
            for photo, found in results:
                if isinstance(found, Unread):
                    bad.append(found)
                else:
                    take(photo, found)
                advance(1)
        seconds = time.perf_counter() - begin
    # The files are whole now, and the table is written.
    sys.stdout.flush()
    notes = [prediction_files.summary(counts, seconds)]
    notes += [f'  csv      {args.csv}'] * (args.csv not in (None, STDOUT))
    notes += [f'  json     {args.json}'] * (args.json not in (None, STDOUT))
    notes += [f'  sorted   {sorter.result}'] if sorter else []
    notes += (
        [prediction_files.complaints(bad, len(bad) + counts.total())]
        if bad
        else []
    )
    print(*notes, sep='\n', file=sys.stderr)
    return YOURS if bad else OK


def _found(
    names: list[str], bad: list[Unread], stack: ExitStack
) -> list[Found]:
    photos = []
    for one in find(names, stack):
        (bad if isinstance(one, Unread) else photos).append(one)
    if not photos:
        if bad:
            print(prediction_files.complaints(bad, len(bad)), file=sys.stderr)
        raise UserError('there is no photo to look at')
    return photos


def _labels(classes: list[str], threshold: float) -> list[str]:
    if threshold and UNSURE in classes:
        raise UserError(
            f'a class is called {UNSURE}, as are photos below --threshold; '
            'leave --threshold out'
        )
    return [*classes, UNSURE] if threshold else classes


def _refuse_to_lose(
    path: str, args: argparse.Namespace, photos: list[Found]
) -> None:
    """Stop where results would go over what is no result of this tool.

    Of `--csv photos/*` the shell makes the first photo the file to write.
    """
    if path == STDOUT:
        return
    flag = '--csv' if path == args.csv else '--json'
    place = Path(path)
    if place.is_dir():
        raise UserError(f'{flag} {path} is a folder; name a file in it')
    wanted = place.suffix.lower() == flag.replace('--', '.')
    if place.is_file() and not wanted:
        raise UserError(
            f'{flag} {path}: that file is there, and does not end in '
            f'{flag.replace("--", ".")}; name another'
        )
    if place.is_file() and any(
        Path(photo.file).exists() and place.samefile(photo.file)
        for photo in photos
    ):
        raise UserError(f'{flag} {path} is one of the photos; name another')


def _not_sorted_yet(photos: list[Found], sorter: Sorter) -> list[Found]:
    """Without what an earlier run has put where this one would."""
    kept = [photo for photo in photos if not sorter.holds(photo)]
    if not kept:
        raise UserError(
            f'all photos lie in class folders of {sorter.folder}; sort them '
            'into another folder'
        )
    if less := len(photos) - len(kept):
        print(
            f'left out: {less} photos in class folders of {sorter.folder}',
            file=sys.stderr,
        )
    return kept


def _outputs(
    args: argparse.Namespace,
    classifier: Classifier,
    bad: list[Unread],
    stack: ExitStack,
) -> list[Write]:
    classes = classifier.classes
    found = []
    if args.csv:
        found.append(prediction_files.csv_into(args.csv, classes))
    if args.json:
        head = {
            'checkpoint': str(classifier.file),
            'classes': classes,
            'threshold': args.threshold or None,
        }
        found.append(prediction_files.json_into(args.json, head, bad))
    if STDOUT not in (args.csv, args.json):
        # The progress bar puts itself in the place of sys.stdout.
        screen = sys.stdout
        person = (
            prediction_files.table_on
            if screen.isatty()
            else prediction_files.lines_on
        )
        topk = min(args.topk, len(classes))
        found.append(person(screen, classes, bool(args.threshold), topk))
    return [stack.enter_context(output) for output in found]


def _results(
    classifier: Classifier, photos: list[Found]
) -> Iterator[tuple[Found, Prediction | Unread]]:
    from flower_mm.inference.photo_reader import Source
    from flower_mm.machine_failures import explained

    sources = (
        Source(photo.name, partial(read_bytes, photo.file)) for photo in photos
    )
    size = classifier.batch_size
    less = f'Fewer at a time: --batch-size {max(1, size // 2)}'
    with explained(Path(), size, less):
        yield from zip(photos, classifier.each(sources), strict=True)
