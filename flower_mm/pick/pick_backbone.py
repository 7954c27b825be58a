"""Probe backbones within some minutes, and name the one to train."""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import cv2

import flower_mm
from flower_mm.annotations import describe
from flower_mm.commands import typed_command
from flower_mm.config import ResolvedRun
from flower_mm.console import duration
from flower_mm.environment import device_name, kind_of_device, versions
from flower_mm.errors import UserError, is_out_of_memory
from flower_mm.exit_codes import interrupted
from flower_mm.lock import only_run_in
from flower_mm.pick import results
from flower_mm.pick.downloads import downloading
from flower_mm.pick.finetune import finetune
from flower_mm.pick.picture import draw_picture
from flower_mm.pick.probe import (
    MEASURED,
    Probe,
    TimeIsUpError,
    UnusableError,
    naming_fault,
)
from flower_mm.pick.results import Result, rank
from flower_mm.pick.train_photos import FOLDS, SEED, TrainPhotos
from flower_mm.process_resources import keep_memory
from flower_mm.report.formatting import one_decimal
from flower_mm.weights.candidates import Candidate, find_candidates
from flower_mm.weights.hub_download import switch_off_downloads
from flower_mm.weights.safe_loading import safe_loading

# With 1,000 photos, the interval of 93 % is three points wide, and with
# 10,000 one point.
FEWEST, MOST, STEP = 1000, 10_000, 500
START = 2.0  # seconds to build a network and load its weights
LOG = 'downloads.log'
POLL_SECONDS = 0.2
# In this time, failed downloads are known, and the sample can be larger.
GRACE_SECONDS = 10.0

# The training of words of `train`.
Resolve = Callable[[list[str]], ResolvedRun]


@safe_loading()
def pick(args: argparse.Namespace, resolve: Resolve) -> int | None:
    """Measure, print and write the results; return the exit code."""
    keep_memory()
    cv2.setNumThreads(0)  # as in training: the workers are enough
    if args.offline:
        switch_off_downloads()
    out, photos = Path(args.out), TrainPhotos(Path(args.data_root))
    candidates = find_candidates(args.backbones)
    missing = [each.name for each in candidates if not each.path()]
    search = Search(args, photos, resolve)
    with only_run_in(out, '--out'):
        try:
            with downloading(missing, out / LOG) as is_downloading:
                search.run(candidates, is_downloading)
        except KeyboardInterrupt as stop:
            print('\nstopped; resume with the same command', flush=True)
            return interrupted(stop)
        search.conclude()
        return finetune(search.ranked[: args.finetune], out)


class Search:
    """The measured backbones, and why others are not measured."""

    def __init__(
        self, args: argparse.Namespace, photos: TrainPhotos, resolve: Resolve
    ) -> None:
        self.args, self.photos, self.resolve = args, photos, resolve
        self.out, self.device = Path(args.out), kind_of_device(args.device)
        self.deadline = args.begin + 60 * args.minutes
        self.count = 0  # photos of each probe, unknown at first
        self.rate = 0.0  # seconds of a photo, divided by the cost
        self.fitting = 0.0  # seconds of a cross-validation
        self.ranked: list[Result] = []
        self.status: dict[Candidate, str] = {}  # of those that are left out

    def run(
        self, candidates: list[Candidate], is_downloading: Callable[[], bool]
    ) -> None:
        """Measure the stored ones, the smallest first, until time is up."""
        waiting = list(candidates)
        grace = time.monotonic() + min(GRACE_SECONDS, 3 * self.args.minutes)
        while is_downloading() and time.monotonic() < grace:
            time.sleep(POLL_SECONDS)
        while waiting:
            may_come = is_downloading()
            stored = [each for each in waiting if each.path()]
            if stored:
                later = waiting if may_come else stored
                self._try(stored[0], sum(each.cost for each in later))
                waiting.remove(stored[0])
            elif may_come and time.monotonic() < self.deadline:
                time.sleep(POLL_SECONDS)
            else:
                status = 'still downloading' if may_come else 'not available'
                self.status |= dict.fromkeys(waiting, status)
                break

    def _try(self, candidate: Candidate, cost: float) -> None:
        """Measure one, or note why not; `cost` is that of all to measure."""
        try:
            self._measure(candidate, cost)
        except TimeIsUpError as error:
            self.status[candidate] = 'not reached'
            if self.count and error.seconds:
                needed = duration(error.seconds)
                self.status[candidate] += f': needs about {needed}'
        except UnusableError as error:
            self.status[candidate] = f'not usable: {error}'
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.status[candidate] = 'not usable: out of memory'

    def _measure(self, candidate: Candidate, cost: float) -> None:
        if time.monotonic() > self.deadline:
            raise TimeIsUpError(self._seconds(candidate, self.count))
        words = [*candidate.words, '--data', self.args.data_root]
        if self.args.device != 'auto':
            words += ['--device', self.args.device]
        with naming_fault():
            run = self.resolve(words)
        probe = Probe(candidate, run, self.photos, self.device)
        if not self.count:
            self._choose_count(probe, cost)
        needed = self._seconds(
            candidate, self.count - len(probe.features.rows)
        )
        if time.monotonic() + needed > self.deadline:
            raise TimeIsUpError(needed)
        probe.compute(self.count, self.deadline - self.fitting)
        self.rate = probe.features.seconds_per_photo / candidate.cost
        begin = time.monotonic()
        predicted = probe.predict(self.folds, self.deadline)
        self.fitting = time.monotonic() - begin
        self._add(probe, run, words, predicted == self.labels)

    def _choose_count(self, probe: Probe, cost: float) -> None:
        """Choose the number of photos by the time of a few batches."""
        total = min(len(self.photos), MOST)
        few = min(total, MEASURED * probe.batch_size)
        probe.compute(few, self.deadline)
        self.rate = probe.features.seconds_per_photo / probe.candidate.cost
        seconds = self.deadline - time.monotonic()
        # A small dataset takes less than can be measured.
        fits = int(seconds / (self.rate * cost)) if self.rate else total
        if fits < total:
            fits = max(FEWEST, fits // STEP * STEP)
        self.count = min(total, fits)
        self.folds = self.photos.folds(self.count)
        self.labels = self.photos.labels[: self.count]
        print(
            f'{self.count} of {len(self.photos)} training photos, '
            f'{FOLDS} folds',
            flush=True,
        )

    def _seconds(self, candidate: Candidate, photos: int) -> float:
        """Estimate the time to measure a backbone on so many new photos."""
        computing = START + photos * self.rate * candidate.cost
        return computing * (photos > 0) + self.fitting

    def _add(
        self, probe: Probe, run: ResolvedRun, words: list[str], correct
    ) -> None:
        result = Result(
            probe.candidate.name,
            words,
            correct,
            self.photos.effective(self.count),
            probe.features.photos_per_second,
            len(self.photos) * run.cfg.train_cfg.max_epochs,
            probe.facts(),
        )
        self.ranked = rank([*self.ranked, result])
        print(
            f'{result.name}: {one_decimal(result.accuracy)} % '
            f'({" to ".join(map(one_decimal, result.interval))}), '
            f'{result.photos_per_second:.0f} images/s',
            flush=True,
        )
        self._write()  # after each one, in case that it is killed

    def _write(self) -> None:
        others = [
            {
                'backbone': candidate.name,
                'status': status,
                'parameters': candidate.entry.parameters,
            }
            for candidate, status in self.status.items()
        ]
        head = {
            'format': 1,
            'flower_mm_version': flower_mm.__version__,
            'created': datetime.now().astimezone().isoformat(' ', 'minutes'),
            'command': typed_command(),
            'data_root': self.args.data_root,
            'dataset_sha256': describe(self.photos.root).get('sha256'),
            'classes': self.photos.classes,
            'train_photos': len(self.photos),
            'photos': self.count,
            'folds': FOLDS,
            'seed': SEED,
            'seconds': round(time.monotonic() - self.args.begin, 1),
            'device': device_name(self.device),
            'versions': versions(),
        }
        results.write(self.ranked, others, head, self.out)

    def conclude(self) -> None:
        """Write and print the results; raise UserError without any."""
        left_out = defaultdict(list)
        for candidate, status in self.status.items():
            kind, _, reason = status.partition(': ')
            name = f'{candidate.name} ({reason})' if reason else candidate.name
            left_out[kind].append(name)
        lines = [f'{kind}: {", ".join(who)}' for kind, who in left_out.items()]
        if 'not available' in left_out:
            lines.append(f'  why: {self.out / LOG}')
        if 'not reached' in left_out:
            lines.append('  the same command with more --minutes continues')
        if not self.ranked:
            raise UserError(
                f'no backbone was measured in {self.args.minutes:g} min\n'
                + '\n'.join(lines)
            )
        self._write()
        draw_picture(self.ranked, self.out / results.PNG)
        lines += [''] * bool(lines)
        print('', results.text(self.ranked), '', *lines, sep='\n')
        for title, name in (
            ('table', results.CSV),
            ('figures', results.JSON),
            ('picture', results.PNG),
        ):
            print(f'  {title:8} {self.out / name}', flush=True)
