"""`tools/compare.py`: from configs and seeds to a table."""

import argparse
from pathlib import Path

from flower_mm.cli import OURS, YOURS
from flower_mm.compare.plan import plan
from flower_mm.compare.table import row, why, write
from flower_mm.compare.trial import LOG, Trial
from flower_mm.compare.work import run_all
from flower_mm.engine.checkpoint import checkpoints
from flower_mm.lock import only_run_in


def compare(args: argparse.Namespace) -> int | None:
    """Run `tools/compare.py` with its parsed arguments."""
    trials, folder = plan(args), Path(args.out)
    codes = {trial: 0 for trial in trials if trial.done()}
    if codes:
        print(f'{len(codes)} of {len(trials)} runs are done; kept')

    def rows() -> list[dict]:
        return [row(one, codes[one]) for one in trials if one in codes]

    def ended(trial: Trial, code: int) -> None:
        codes[trial] = code
        if code:
            print(
                f'{trial.name}: failed, {why(trial)}\n'
                f'  all it said: {trial.folder / LOG}',
                flush=True,
            )
        else:
            best = trial.record()['result']['best_top1']
            shown = 'no accuracy' if best is None else f'{best:.2f} %'
            print(
                f'{trial.name}: {shown} in {trial.seconds():.0f} s', flush=True
            )
            # best.pth stays; what it could be resumed from takes ten times
            # the room, and there is nothing to resume.
            for checkpoint in checkpoints(trial.folder):
                checkpoint.unlink()
            (trial.folder / 'last_checkpoint').unlink(missing_ok=True)
        # After each, so that no hour of them is lost.
        write(folder, rows())

    with only_run_in(folder):
        run_all(trials, args.jobs, args.device, ended)
        print(f'\n{write(folder, rows())}')
    print(f'  table  {folder / "compare.md"}')
    print(f'  runs   {folder / "compare.csv"}')
    failed = set(codes.values()) - {0}
    return (YOURS if failed == {YOURS} else OURS) if failed else None
