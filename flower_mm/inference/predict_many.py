"""Run `flower-mm predict --out`: very many photos, in parts, by workers."""

import argparse
import functools
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flower_mm import __version__
from flower_mm.cluster import Lost, connect, run_tasks
from flower_mm.console import progress
from flower_mm.errors import UserError, printable
from flower_mm.exit_codes import OK, USER_ERROR
from flower_mm.inference import prediction_files
from flower_mm.inference.classifier import Classifier, Unread
from flower_mm.inference.listed_photos import bytes_of
from flower_mm.inference.result_parts import (
    LIST,
    MANIFEST,
    Counts,
    Rows,
    finished_parts,
    part_file,
    prepare_folder,
    write_manifest,
)
from flower_mm.inference.work_list import (
    URLS,
    Photo,
    count_photos,
    import_pyarrow,
    parts_of,
    write_list,
)
from flower_mm.lock import only_run_in
from flower_mm.process_resources import cores
from flower_mm.torch_import import importing_torch


@dataclass(frozen=True)
class Job:
    """What all parts have in common."""

    checkpoint: str
    folder: Path
    device: str
    imports: tuple[str, ...]
    calibrates: bool
    text: str  # of the settings, in JSON

    @property
    def settings(self) -> dict:
        return json.loads(self.text)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """Some thousand photos, whose results are a file."""

    job: Job
    number: int
    photos: list[Photo]


def predict_many(args: argparse.Namespace) -> int:
    """Predict what is missing in `--out`; return the exit code."""
    for flag in ('csv', 'json', 'sort_into'):
        if getattr(args, flag):
            raise UserError(
                f'--{flag.replace("_", "-")} cannot be combined with --out, '
                'which writes Parquet files'
            )
    import_pyarrow()
    folder = args.out.absolute()
    job = _prepare(args, folder)
    settings = job.settings
    with only_run_in(folder, '--out'):
        prepare_folder(folder, settings, args.overwrite)
        photos = folder / LIST
        if not photos.is_file():
            write_list(
                photos, args.photos, settings['prefix'], args.path_column
            )
        total = count_photos(photos)
        if not total:
            photos.unlink()
            raise UserError('PHOTOS contains no photos')
        parts = finished_parts(folder, job.digest)
        missing = (
            Part(job, number, some)
            for number, some in parts_of(photos, args.part_photos, parts)
        )
        lost = _predict(args, missing, parts, total)
        done = sum(part.photos for part in parts.values())
        if done != total:
            raise UserError(
                f'{total - done} of {total} photos in {folder} are missing, '
                f'since {len(lost)} parts ended their workers '
                f'{"; ".join(lost[:5])}.\n'
                'Give the workers more memory: --batch-size '
                f'{max(1, args.batch_size // 2)}'
            )
        manifest = write_manifest(folder, settings, parts.values())
    errors = manifest['errors']
    print(
        f'{total} photos in {len(parts)} files of {folder}, {errors} with an '
        f'error; see {MANIFEST}',
        file=sys.stderr,
    )
    return USER_ERROR if errors else OK


def _prepare(args: argparse.Namespace, folder: Path) -> Job:
    """Load the model, so that mistakes are found before photos are listed."""
    from flower_mm.weights.file_hash import sha256_of

    prefix = args.prefix or ''
    if prefix and not prefix.startswith(URLS):
        prefix = str(Path(prefix).absolute())
    with importing_torch():
        classifier = Classifier(
            args.checkpoint,
            'cpu',
            calibrated=not args.uncalibrated,
            coverage=args.coverage,
            per_class=args.per_class,
            precision=args.precision,
        )
    threshold = args.threshold
    point = classifier.working_point
    if point and not threshold:
        threshold = point.threshold
        print(prediction_files.promise(point), file=sys.stderr)
    settings = {
        'flower_mm': __version__,
        'model_sha256': sha256_of(classifier.file),
        'sources': [str(Path(name).absolute()) for name in args.photos],
        'prefix': prefix,
        'path_column': args.path_column,
        'part_photos': args.part_photos,
        'topk': min(args.topk, len(classifier.classes)),
        'threshold': threshold,
        'coverage': args.coverage,
        'per_class': args.per_class,
        'uncalibrated': args.uncalibrated,
        'no_unknown': args.no_unknown,
        'amp': args.amp,
        'batch_size': args.batch_size,
    }
    has_temperature = classifier.model.calibration.temperature is not None
    return Job(
        str(classifier.file.absolute()),
        folder,
        args.device,
        tuple(
            str(Path(name).absolute()) if name.endswith('.py') else name
            for name in args.imports
        ),
        has_temperature and not args.uncalibrated,
        json.dumps(settings),
    )


def _predict(
    args: argparse.Namespace,
    missing: Iterator[Part],
    parts: dict[int, Counts],
    total: int,
) -> list[str]:
    """Add the counts of the missing parts; return those that were lost."""
    lost = []
    start = sum(part.photos for part in parts.values())
    begin = time.perf_counter()
    with progress(total, 'predicting', start=start) as advance:
        for part, counts in run_tasks(
            predict_part, missing, args.cluster, **_resources(args)
        ):
            if isinstance(counts, Lost):
                lost.append(f'(part {part.number}: {counts.reason})')
                continue
            parts[part.number] = counts
            advance(counts.photos)
    seconds = time.perf_counter() - begin
    new = sum(part.photos for part in parts.values()) - start
    if new:
        print(f'{new / seconds:.0f} photos per second', file=sys.stderr)
    return lost


def _resources(args: argparse.Namespace) -> dict:
    """Return the workers, and the cores and GPUs of each."""
    uses_gpu = args.device.split(':')[0] in ('auto', 'cuda')
    if args.cluster:
        gpus = args.gpus_per_worker
        if gpus is None:
            resources = connect(args.cluster).cluster_resources()
            gpus = float(uses_gpu and 'GPU' in resources)
        return {
            'workers': args.workers,
            'cpus': args.cpus_per_worker or 1.0,
            'gpus': gpus,
        }
    workers = args.workers or 1
    each = args.cpus_per_worker or max(1, math.floor(cores() / workers))
    return {'workers': workers, 'cpus': each}


@functools.lru_cache(1)
def _load(job: Job) -> Classifier:
    """Load the model once in each worker."""
    from flower_mm.process_resources import keep_memory
    from flower_mm.weights.file_hash import sha256_of

    settings = job.settings
    actual = sha256_of(Path(job.checkpoint))
    if actual != settings['model_sha256']:
        raise UserError(
            f'{job.checkpoint} is another file on this node: expected sha256 '
            f'{settings["model_sha256"]}, got {actual}'
        )
    keep_memory()
    classifier = Classifier(
        job.checkpoint,
        job.device,
        settings['batch_size'],
        settings['amp'],
        job.imports,
        coverage=settings['coverage'],
        per_class=settings['per_class'],
        find_unknown=not settings['no_unknown'],
    )
    classifier.model.calibrated = False  # both probabilities are written
    return classifier


def predict_part(part: Part) -> Counts:
    """Write the results of a part."""
    from flower_mm.inference.photo_reader import Source
    from flower_mm.machine_failures import explained

    job, settings = part.job, part.job.settings
    size, prefix = settings['batch_size'], settings['prefix']
    fix = f'Try: --batch-size {max(1, size // 2)}'
    with explained(job.folder, size, fix):
        classifier = _load(job)
        model = classifier.model
        rows = Rows(
            classifier.classes, settings['topk'], classifier.unknown_above
        )
        sources = (
            Source(photo.name, partial(bytes_of, photo, prefix))
            for photo in part.photos
        )
        for batch, scores, unlike in classifier.scored(sources):
            calibrated = scores
            if job.calibrates and len(scores):
                calibrated = model.calibration.calibrated(scores)
            rows.add(scores, calibrated, unlike)
            values = iter(calibrated)
            for name, item in batch:
                if isinstance(item, Unread):
                    rows.add_row(name, error=printable(item.why, 500))
                    continue
                classes: tuple[str, ...] = ()
                if settings['coverage']:
                    result = classifier.prediction(name, next(values), None)
                    classes = result.classes
                rows.add_row(name, classes)
        precision = 'bfloat16' if model.in_bfloat16 else 'float32'
        counts = Counts(job.digest, f'{model.device} {precision}')
        file = part_file(job.folder, part.number)
        rows.write(file, counts, settings['threshold'], job.calibrates)
    return counts
