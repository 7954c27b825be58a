"""One run that is killed and resumed, and what is wrong with it then."""

import json
import shutil
import signal
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from run_differences import differences

from flower_mm.engine.checkpoint_state import checkpoints, number_of
from flower_mm.errors import UserError
from flower_mm.weights.read_checkpoint import read_checkpoint
from kill_anywhere.bench import Bench, steps

# What a whole checkpoint has.
PARTS = {'state_dict', 'meta'}
PARTS_TO_RESUME = {
    *PARTS, 'optimizer', 'param_schedulers', 'ema_state_dict', 'message_hub',
}  # fmt: skip


@dataclass
class Trial:
    """Kills of one run: each at a step, or at a share of its seconds."""

    what: str
    workers: int
    kills: list[str | float]
    power_cut: bool = False
    over: Path | None = None  # a finished run, in whose copy it starts
    hits: int = 0
    missed: bool = False  # it was over before the kill it was about
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        kills = (
            kill if isinstance(kill, str) else f'{kill:.0%} of the run'
            for kill in self.kills
        )
        return f'{self.what}, {self.workers} workers: {", ".join(kills)}'

    def carry_out(self, bench: Bench, folder: Path) -> None:
        """Kill, look, resume, compare; a run that no kill hit says nothing."""
        start = time.monotonic()
        run = folder / 'run'
        if self.over:
            shutil.copytree(self.over, run)
        else:
            folder.mkdir(parents=True)
        stood: set[str] = set()
        try:
            for kill in self.kills:
                if not self._killed(bench, run, kill):
                    self.missed = isinstance(kill, str) or not self.hits
                    break
                stood |= self._renamed(run)
                self._look(run, stood, 'after the kill')
            if self.hits and not self.problems:
                self._resume(bench, run)
                self._look(run, stood, 'at the end')
            if self.hits and not self.problems:
                self._compare(bench, run)
        except TimeoutError as error:
            self.problems.append(str(error))
        self.seconds = time.monotonic() - start

    def _killed(self, bench: Bench, run: Path, kill: str | float) -> bool:
        """Start it and kill it; false when it was over before that."""
        args = ['--resume'] if self.hits else []
        if isinstance(kill, str):
            process = bench.start(
                *(run, self.workers, *args), at=kill, power_cut=self.power_cut
            )
        else:
            process = bench.start(run, self.workers, *args)
            time.sleep(kill * bench.seconds[self.workers])
            process.process.kill()
        code = process.wait()
        if code == -signal.SIGKILL:
            self.hits += 1
        elif code != 0:
            self.problems.append(f'exit code {code}: {process.text[-600:]}')
        return code == -signal.SIGKILL

    def _renamed(self, run: Path) -> set[str]:
        """The files that have to stand, by the steps of the dead process.

        Its last step may not have been done. After a power cut only those
        count whose folder was synced.
        """
        lasting = 'folder' if self.power_cut else 'replace'
        done = (step.split() for step in steps(run)[:-1])
        return {
            name
            for kind, name, _ in done
            if kind == lasting and not name.startswith('earlier/')
        }

    def _look(self, run: Path, stood: set[str], when: str) -> None:
        found = []
        for path in sorted(run.rglob('*')):
            problem = damage(path)
            if problem:
                found.append(f'{path.relative_to(run)} {problem}')
        for name in sorted(stood):
            if name.startswith('epoch_'):
                if not checkpoints(run):
                    found.append(f'{name} is gone and no other is there')
            elif not (run / name).exists():
                found.append(f'{name} is gone')
        if when == 'at the end':
            found += [f'{part.name} is left' for part in run.rglob('*.part')]
        self.problems += [f'{when}: {problem}' for problem in found]

    def _resume(self, bench: Bench, run: Path) -> None:
        newest = max(map(number_of, checkpoints(run)), default=0)
        process = bench.start(run, self.workers, '--resume')
        code = process.wait()
        if (
            code == 2
            and self.over
            and _contents(run.glob('epoch_*.pth'))
            <= _contents(self.over.glob('epoch_*.pth'))
        ):
            # Rightly refused: another seed's, not yet set aside.
            newest = 0
            process = bench.start(run, self.workers)
            code = process.wait()
        if code != 0:
            self.problems.append(
                f'resuming: exit code {code}: {process.text[-600:]}'
            )
            return
        record = json.loads((run / 'run.json').read_text('utf-8'))
        if (record['resumed_at_epoch'] or 0) != newest:
            self.problems.append(
                f'resumed at epoch {record["resumed_at_epoch"]}, '
                f'but epoch_{newest}.pth was there'
            )

    def _compare(self, bench: Bench, run: Path) -> None:
        if self.over:
            before = _contents(self.over.glob('*.pth'))
            for name, _ in before - _contents(run.rglob('*.pth')):
                self.problems.append(f'the {name} of before is lost')
            if _contents(run.glob('*.pth')) == before:
                # Nothing was set aside yet: resumed, it was at its end.
                return
        differing = differences(run, bench.whole(self.workers))
        if self.over:
            # The older checkpoints may be aside already, and the last not.
            differing = [d for d in differing if 'files.epoch_' not in d]
        if differing:
            self.problems.append(
                f'{len(differing)} values differ from the run that was not '
                f'killed: {", ".join(differing[:8])}'
            )


def _contents(paths: Iterable[Path]) -> set[tuple[str, bytes]]:
    return {(path.name, path.read_bytes()) for path in paths}


def damage(path: Path) -> str | None:
    """Tell what is wrong with a file that has to be whole, if anything."""
    try:
        if path.suffix == '.pth':
            return _damage_of_checkpoint(path)
        if path.name in ('run.json', 'dataset.json'):
            json.loads(path.read_text('utf-8'))
        elif path.name == 'last_checkpoint':
            named = path.with_name(Path(path.read_text('utf-8')).name)
            # What is being moved to earlier/ comes there piece by piece.
            if 'earlier' not in path.parts and not named.is_file():
                return f'names {named.name}, which is not there'
        elif path.suffix == '.png':
            Image.open(path).verify()
        elif path.name == 'scalars.json':
            # The last line may be cut: it is appended, not replaced.
            for line in path.read_text('utf-8').splitlines()[:-1]:
                json.loads(line)
    except (ValueError, OSError, SyntaxError) as error:
        return f'is damaged: {error}'
    return None


def _damage_of_checkpoint(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        found = read_checkpoint(path)
    except (zipfile.BadZipFile, UserError) as error:
        return f'is damaged: {error}'
    if bad:
        return f'is damaged: the checksum of {bad} is wrong'
    missing = (
        PARTS if path.name == 'best.pth' else PARTS_TO_RESUME
    ) - found.keys()
    return f'lacks {missing}' if missing else None
