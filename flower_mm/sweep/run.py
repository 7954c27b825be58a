"""From configs and seeds to a table."""

import argparse
from collections.abc import Callable
from pathlib import Path

from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.exit_codes import OURS, YOURS, interrupted
from flower_mm.layout import RunDir
from flower_mm.lock import only_run_in
from flower_mm.sweep.plan import plan
from flower_mm.sweep.table import CSV, failure, other_runs, row, write
from flower_mm.sweep.trial import Trial
from flower_mm.sweep.work import run_all


def compare(
    args: argparse.Namespace,
    parse_training: Callable[[list[str]], argparse.Namespace],
) -> int | None:
    """Run all trainings and write the tables.

    `parse_training` parses the command line of one training.
    """
    trials, folder = plan(args, parse_training), Path(args.out)
    with only_run_in(folder, '--out'):
        codes = {trial: 0 for trial in trials if trial.done()}
        if others := other_runs(folder, trials):
            print(
                f'leaving out of {folder / CSV}, as they are of other runs: '
                f'{others} of its rows. What they trained stays'
            )
        if codes:
            print(f'{len(codes)} of {len(trials)} runs are done; kept')
        for trial in codes:
            _tidy(trial)

        def table() -> str:
            rows = [row(one, codes[one]) for one in trials if one in codes]
            return write(folder, rows)

        def ended(trial: Trial, code: int) -> None:
            codes[trial] = code
            print(_outcome(trial, code), flush=True)
            _tidy(trial)
            table()  # after each, so that no hour of them is lost

        jobs = args.jobs or len(args.device)
        try:
            run_all(trials, set(codes), jobs, args.device, ended)
        except KeyboardInterrupt as stop:
            print('\nstopped; the same command goes on from there', flush=True)
            return interrupted(stop)
        print(f'\n{table()}')
    print(f'  table  {folder / "compare.md"}')
    print(f'  runs   {folder / CSV}')
    failed = {code for trial, code in codes.items() if failure(trial, code)}
    return (YOURS if failed == {YOURS} else OURS) if failed else None


def _outcome(trial: Trial, code: int) -> str:
    if why := failure(trial, code):
        return f'{trial.name}: failed, {why}\n  all it said: {trial.log}'
    best = trial.record()['result']['best_top1']
    shown = 'no accuracy' if best is None else f'{best:.2f} %'
    lines = [f'{trial.name}: {shown} in {trial.seconds():.0f} s']
    return '\n  '.join([*lines, *trial.warnings()])


def _tidy(trial: Trial) -> None:
    """Keep best.pth alone of a run that is done.

    What it could be resumed from takes ten times the room.
    """
    if trial.done() and (trial.folder / RunDir.BEST).is_file():
        for checkpoint in checkpoints(trial.folder):
            checkpoint.unlink()
        (trial.folder / RunDir.LAST_CHECKPOINT).unlink(missing_ok=True)
