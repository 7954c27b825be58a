"""Run `flower-mm predict`."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from flower_mm.console import progress
from flower_mm.decoding import read_bytes
from flower_mm.errors import UserError
from flower_mm.exit_codes import OK, USER_ERROR
from flower_mm.inference import prediction_files
from flower_mm.inference.classifier import Classifier, Prediction, Unread
from flower_mm.inference.drift import Seen, difference
from flower_mm.inference.photo_files import PhotoFile, list_photos
from flower_mm.inference.prediction_files import (
    SET,
    STDOUT,
    UNKNOWN,
    UNLIKENESS,
    UNSURE,
    Write,
)
from flower_mm.inference.sort_into_folders import Sorter
from flower_mm.torch_import import importing_torch


def predict(args: argparse.Namespace) -> int:
    """Classify photos; return the exit code, 2 after unreadable photos."""
    if args.csv and args.csv == args.json:
        raise UserError(
            f'--csv and --json name the same file: {args.csv}.\n'
            'Name different files'
        )
    bad: list[Unread] = []
    counts: Counter[str] = Counter()
    seen = Seen()
    with ExitStack() as stack:
        photos = _list_photos(args.photos, bad, stack)
        with importing_torch():
            from flower_mm.process_resources import keep_memory

            keep_memory()
            classifier = Classifier(
                args.checkpoint,
                args.device,
                args.batch_size,
                args.amp,
                calibrated=not args.uncalibrated,
                coverage=args.coverage,
                per_class=args.per_class,
                precision=args.precision,
                find_unknown=not args.no_unknown,
            )
        if UNKNOWN in classifier.classes and classifier.finds_unknown:
            # Nobody could tell the label from the class.
            classifier.model.known = None
            print(
                f'{UNKNOWN!r} is a class of the model: photos unlike the '
                'training photos get a class as well',
                file=sys.stderr,
            )
        point = classifier.working_point
        if point and not args.threshold:
            args.threshold = point.threshold
            print(prediction_files.promise(point), file=sys.stderr)
        labels = _labels(classifier, args.threshold)
        sorter = None
        if args.sort_into:
            sorter = Sorter(args.sort_into, labels)
            photos = _without_sorted(photos, sorter)
        for flag, path in (('--csv', args.csv), ('--json', args.json)):
            if path:
                prediction_files.require_safe_output(flag, path, photos)
        outputs = _outputs(args, classifier, labels, bad, stack)

        def write(photo: PhotoFile, prediction: Prediction) -> None:
            if prediction.unknown:
                label = UNKNOWN
            elif prediction.confidence < args.threshold:
                label = UNSURE
            else:
                label = prediction.label
            counts[label] += 1
            place = classifier.classes.index(prediction.label)
            seen.predicted.append(place)
            seen.confidence.append(prediction.confidence)
            seen.unknown += prediction.unknown
            for output in outputs:
                output(prediction, label)
            if sorter:
                sorter.copy(photo, label)

        begin = time.perf_counter()
        with (
            closing(_results(classifier, photos)) as results,
            progress(len(photos), 'predicting') as advance,
        ):
            for photo, result in results:
                if isinstance(result, Unread):
                    bad.append(result)
                else:
                    write(photo, result)
                advance(1)
        seconds = time.perf_counter() - begin
    sys.stdout.flush()  # the table comes before the summary
    lines = [prediction_files.summary(counts, seconds)]
    if args.csv not in (None, STDOUT):
        lines.append(f'  csv      {args.csv}')
    if args.json not in (None, STDOUT):
        lines.append(f'  json     {args.json}')
    if sorter:
        lines.append(f'  sorted   {sorter.result}')
    # The figures of the validation are of calibrated probabilities.
    if not args.uncalibrated:
        known = classifier.model.known
        differs = difference(
            seen,
            classifier.model.calibration,
            known.validated if known else None,
            classifier.classes,
        )
        lines += [differs] if differs else []
    if bad:
        total = len(bad) + counts.total()
        lines.append(prediction_files.list_unread(bad, total))
    print(*lines, sep='\n', file=sys.stderr)
    return USER_ERROR if bad else OK


def _list_photos(
    names: list[str], bad: list[Unread], stack: ExitStack
) -> list[PhotoFile]:
    photos: list[PhotoFile] = []
    for photo in list_photos(names, stack):
        if isinstance(photo, Unread):
            bad.append(photo)
        else:
            photos.append(photo)
    if not photos:
        if bad:
            print(prediction_files.list_unread(bad, len(bad)), file=sys.stderr)
        raise UserError('PHOTOS contains no photos')
    return photos


def _labels(classifier: Classifier, threshold: float) -> list[str]:
    """Return the classes, and what else a photo may be labelled."""
    classes = classifier.classes
    labels = [*classes]
    if threshold:
        if UNSURE in classes:
            raise UserError(
                f'photos below the threshold are labelled {UNSURE!r}, which '
                'is also a class of the model.\n'
                'Omit --threshold and --precision'
            )
        labels.append(UNSURE)
    if classifier.finds_unknown:
        labels.append(UNKNOWN)
    return labels


def _without_sorted(
    photos: list[PhotoFile], sorter: Sorter
) -> list[PhotoFile]:
    """Leave out the copies that an earlier run sorted into the folder."""
    others = [photo for photo in photos if not sorter.has_copy(photo)]
    if not others:
        raise UserError(
            f'all photos are in class folders of {sorter.folder}.\n'
            'Sort them into another folder'
        )
    if skipped := len(photos) - len(others):
        print(
            f'skipped {skipped} photos in class folders of {sorter.folder}',
            file=sys.stderr,
        )
    return others


def _outputs(
    args: argparse.Namespace,
    classifier: Classifier,
    labels: list[str],
    bad: list[Unread],
    stack: ExitStack,
) -> list[Write]:
    classes = classifier.classes
    outputs = []
    if args.csv:
        more = [UNLIKENESS] if classifier.finds_unknown else []
        more += [SET] if args.coverage is not None else []
        outputs.append(prediction_files.csv_into(args.csv, classes, more))
    if args.json:
        head = {
            'checkpoint': str(classifier.file),
            'classes': classes,
            'threshold': args.threshold or None,
        }
        if args.coverage:
            head['coverage'] = args.coverage
        if classifier.finds_unknown:
            head['unknown_above'] = round(classifier.unknown_above, 3)
        outputs.append(prediction_files.json_into(args.json, head, bad))
    if STDOUT not in (args.csv, args.json):
        # Taken now, since the progress bar replaces sys.stdout.
        screen = sys.stdout
        show = (
            prediction_files.table_on
            if screen.isatty()
            else prediction_files.lines_on
        )
        topk = min(args.topk, len(classes))
        outputs.append(show(screen, classes, labels, topk))
    return [stack.enter_context(output) for output in outputs]


def _results(
    classifier: Classifier, photos: list[PhotoFile]
) -> Generator[tuple[PhotoFile, Prediction | Unread], None, None]:
    from flower_mm.inference.photo_reader import Source
    from flower_mm.machine_failures import explained

    sources = (
        Source(photo.name, partial(read_bytes, photo.file)) for photo in photos
    )
    size = classifier.batch_size
    fix = f'Try: --batch-size {max(1, size // 2)}'
    with explained(Path(), size, fix):
        yield from zip(photos, classifier.each(sources), strict=True)
