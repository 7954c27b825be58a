"""All checks, and what is shown of them."""

import argparse
import copy
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from flower_mm.checks import weights
from flower_mm.checks.building import built, fits, tried
from flower_mm.checks.building.assemble import FoundError, reason
from flower_mm.checks.case import Case
from flower_mm.checks.dataset import (
    broken,
    classes,
    counts,
    photos,
    root,
    sides,
    sizes,
)
from flower_mm.checks.effective import effective
from flower_mm.checks.finding import Finding, Level, note, stop
from flower_mm.checks.keys import feeding, hooks, wording
from flower_mm.checks.machine import cost, disk, limits
from flower_mm.checks.machine.timing import measure
from flower_mm.checks.schedule import course
from flower_mm.checks.schedule.plot import draw_rate
from flower_mm.engine.distributed import is_first
from flower_mm.engine.train import configure
from flower_mm.errors import UserError
from flower_mm.exit_codes import OK, YOURS
from flower_mm.weights.safe_loading import safe_loading

CHECKS = (
    built,
    tried,
    fits,
    course,
    classes,
    counts,
    photos,
    broken,
    sides,
    sizes,
    weights,
    feeding,
    hooks,
    disk,
    limits,
    cost,
)
UNSEEN = 'could not be checked'


def open_case(
    cfg: Config, args: argparse.Namespace, thorough: bool = False
) -> Case:
    """Put the command line into a copy of the config."""
    cfg = copy.deepcopy(cfg)
    configure(cfg, args)
    return Case(args, cfg, get_device(), thorough)


@safe_loading()
def examine(
    cfg: Config, args: argparse.Namespace, thorough: bool = False
) -> tuple[list[Finding], Case | None]:
    """Everything that the checks find, the worst first.

    There is no case where the config cannot even be completed.
    """
    found = list(_found(wording.check, cfg, args))
    case = None
    if not any(finding.level == Level.STOP for finding in found):
        try:
            case = open_case(cfg, args, thorough)
        except UserError as error:
            found.append(stop(str(error), '', ''))
        else:
            found += _found(root.check, case)
            if not any(finding.level == Level.STOP for finding in found):
                for check in CHECKS:
                    found += _found(check.check, case)
    # One mistake may stand in the way of several checks.
    found = list(dict.fromkeys(found))
    return sorted(found, key=lambda finding: -finding.level), case


def _found(check: Callable[..., Iterator[Finding]], *args) -> list[Finding]:
    """What one check finds; a mistake that it runs into is a finding."""
    found = []
    try:
        for finding in check(*args):
            found.append(finding)
    except FoundError as error:
        found.append(error.finding)
    except UserError as error:
        found.append(stop(str(error), '', ''))
    except Exception as error:
        # The machine's fault, or one of the check.
        _, _, name = check.__module__.partition('flower_mm.checks.')
        found.append(note(f'{name} {UNSEEN} ({reason(error)})', '', ''))
    return found


def check_before_training(cfg: Config, args: argparse.Namespace) -> None:
    """Say what is doubtful; stop where the run cannot be what was meant."""
    if not is_first(args.launcher):
        return
    found, _ = examine(cfg, args)
    wrong = [f.text for f in found if f.level == Level.STOP]
    for finding in found:
        # What stops the run explains why other things could not be seen.
        unseen = UNSEEN in finding.what and not wrong
        if finding.level == Level.WARN or unseen:
            print(finding, flush=True)
    if wrong:
        raise UserError('\n'.join(wrong))


def doctor(cfg: Config, args: argparse.Namespace) -> int:
    """Check with the parsed arguments of `check`; return the exit code."""
    found, case = examine(cfg, args, thorough=True)
    if case:
        rows = effective(case)
        width = max((len(name) for name, _ in rows), default=0)
        print('what will run')
        for name, value in rows:
            print(f'  {name:{width}}  {value}')
        print()
    for finding in found:
        print(finding)
    notes, warnings, stops = (
        sum(f.level == level for f in found) for level in Level
    )
    print(f'{stops} to stop for, {warnings} warnings, {notes} notes')
    if args.plot and case:
        draw_rate(case, Path(args.plot))
        print(f'the rate over the run: {args.plot}')
    if stops:
        return YOURS
    if args.time:
        with safe_loading():
            print(f'\n{measure(case)}')
    return OK
