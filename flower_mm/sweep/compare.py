"""Run the trainings of a comparison and write its tables."""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from flower_mm import console
from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.exit_codes import FAULT, USER_ERROR, interrupted
from flower_mm.layout import RunDir
from flower_mm.lock import only_run_in
from flower_mm.sweep.plan_trials import plan_trials
from flower_mm.sweep.ray_trials import executor_of
from flower_mm.sweep.results_table import (
    CSV,
    MARKDOWN,
    failure,
    other_rows,
    row,
    write,
)
from flower_mm.sweep.run_trials import run_all
from flower_mm.sweep.trial import Trial


def compare(
    args: argparse.Namespace,
    parse_training: Callable[[list[str]], argparse.Namespace],
) -> int | None:
    """Run all trainings and write the tables; return the exit code.

    `parse_training` parses the command line of one training.
    """
    trials, folder = plan_trials(args, parse_training), Path(args.out)
    with only_run_in(folder, '--out'):
        codes = {trial: 0 for trial in trials if trial.is_done()}
        if others := other_rows(folder, trials):
            print(
                f'{others} rows of {folder / CSV} are of other runs: they '
                'leave the table, and their folders stay'
            )
        if codes:
            print(f'{len(codes)} of {len(trials)} runs are already done')
        for trial in codes:
            delete_checkpoints(trial)
        # By config, since its seeds share most warnings.
        warnings: dict[str, set[str]] = defaultdict(set)

        def write_table() -> str:
            done = [trial for trial in trials if trial in codes]
            return write(folder, [row(trial, codes[trial]) for trial in done])

        def on_end(trial: Trial, code: int) -> None:
            codes[trial] = code
            print_result(trial, code, warnings[trial.config.stem])
            delete_checkpoints(trial)
            write_table()  # after each one, in case the comparison is killed

        todo = [[trial for trial in trials if trial not in codes]]
        epochs = sum(trial.epochs for trial in trials)
        before = epochs - sum(trial.epochs for trial in todo[0])
        executor = executor_of(args)
        executor.slots = max(1, min(executor.slots, len(todo[0])))
        try:
            with console.progress(epochs, 'epochs', start=before) as advance:
                run_all(
                    lambda: todo.pop() if todo else [],
                    executor,
                    on_end,
                    on_epochs=advance,
                )
        except KeyboardInterrupt as stop:
            print('\nstopped; resume with the same command', flush=True)
            return interrupted(stop)
        print(f'\n{write_table()}')
    print(f'  table  {folder / MARKDOWN}')
    print(f'  runs   {folder / CSV}')
    failed = {code for trial, code in codes.items() if failure(trial, code)}
    if not failed:
        return None
    return USER_ERROR if failed == {USER_ERROR} else FAULT


def print_result(trial: Trial, code: int, known_warnings: set[str]) -> None:
    """Print the accuracy or the error, and the new warnings."""
    if error := failure(trial, code):
        print(f'{trial.name}: failed: {error}\n  log: {trial.log}', flush=True)
        return
    best = trial.record()['result']['best_top1']
    accuracy = 'accuracy not measured' if best is None else f'{best:.2f} %'
    print(f'{trial.name}: {accuracy} in {trial.seconds():.0f} s')
    for warning in trial.warnings():
        if warning not in known_warnings:
            known_warnings.add(warning)
            print('  ' + warning.replace('\n', '\n  '))
    print(end='', flush=True)


def delete_checkpoints(trial: Trial) -> None:
    """Keep only best.pth of a finished run.

    The state to resume it takes ten times as much space.
    """
    if trial.is_done() and (trial.folder / RunDir.BEST).is_file():
        for checkpoint in checkpoints(trial.folder):
            checkpoint.unlink()
        (trial.folder / RunDir.LAST_CHECKPOINT).unlink(missing_ok=True)
