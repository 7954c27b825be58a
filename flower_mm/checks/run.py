"""Run all checks and show their findings."""

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from flower_mm.checks import (
    config_structure,
    dataset_classes,
    dataset_folder,
    dataset_photos,
    disk,
    hardware,
    hooks,
    memory,
    preprocessing,
    pretrained_weights,
    rehearsal,
    schedule,
    split_leakage,
)
from flower_mm.checks.building import reason
from flower_mm.checks.codes import Severity, parse_codes
from flower_mm.checks.context import CheckContext
from flower_mm.checks.finding import Finding, FindingError
from flower_mm.checks.learning_rate_plot import draw_learning_rate
from flower_mm.checks.settings_summary import summarize
from flower_mm.checks.timing import measure
from flower_mm.engine.distributed import is_first
from flower_mm.engine.train import configure
from flower_mm.errors import UserError
from flower_mm.exit_codes import OK, YOURS
from flower_mm.weights.safe_loading import safe_loading

# The rehearsal first: other checks use the metrics that it measures.
CHECKS = (
    rehearsal,
    schedule,
    dataset_classes,
    dataset_photos,
    split_leakage,
    pretrained_weights,
    preprocessing,
    hooks,
    disk,
    hardware,
    memory,
)
FAILED = 'RUN008'


def open_context(
    cfg: Config, args: argparse.Namespace, thorough: bool = False
) -> CheckContext:
    """Put the command line into a copy of the config."""
    cfg = copy.deepcopy(cfg)
    configure(cfg, args)
    return CheckContext(args, cfg, get_device(), thorough)


@safe_loading()
def examine(
    cfg: Config, args: argparse.Namespace, thorough: bool = False
) -> tuple[list[Finding], CheckContext | None]:
    """Return all findings, the worst first, without those to ignore.

    The context is None where the config cannot be completed.
    """
    ignored = parse_codes(','.join(args.ignore or []))
    ignored |= parse_codes(','.join(cfg.get('ignore_checks') or []))
    ctx = None

    def findings_of(check: Callable[..., Iterator[Finding]], *given) -> bool:
        """Collect what a check finds; return whether that is an error."""
        new = [f for f in _findings(check, *given) if f.code not in ignored]
        findings.extend(new)
        return any(f.severity == Severity.ERROR for f in new)

    findings: list[Finding] = []
    if not findings_of(config_structure.check, cfg, args):
        try:
            ctx = open_context(cfg, args, thorough)
        except UserError as error:
            findings.append(_from_error(error, args.config))
        else:
            if not findings_of(dataset_folder.check, ctx):
                for check in CHECKS:
                    findings_of(check.check, ctx)
    # One mistake may stop several checks.
    findings = list(dict.fromkeys(findings))
    return sorted(findings, key=lambda finding: -finding.severity), ctx


def _from_error(error: UserError, where: str) -> Finding:
    if isinstance(error, FindingError):
        return error.finding
    message, _, fix = str(error).partition('\n')
    return Finding('CFG014', where, message, ' '.join(fix.split()))


def _findings(check: Callable[..., Iterator[Finding]], *given) -> list:
    """Return what a check finds; an error that it meets is a finding."""
    findings = []
    try:
        for finding in check(*given):
            findings.append(finding)
    except UserError as error:
        args = getattr(given[0], 'args', given[-1])
        findings.append(_from_error(error, args.config))
    except Exception as error:
        # The machine's fault, or one of the check.
        name = check.__module__.rpartition('.')[2]
        findings.append(Finding(FAILED, f'checks.{name}', reason(error)))
    return findings


def check_before_training(cfg: Config, args: argparse.Namespace) -> None:
    """Print warnings; raise a UserError for errors."""
    if not is_first(args.launcher):
        return
    findings, _ = examine(cfg, args)
    errors = [f.text for f in findings if f.severity == Severity.ERROR]
    for finding in findings:
        # An error explains why other checks failed.
        failed = finding.code == FAILED and not errors
        if finding.severity == Severity.WARNING or failed:
            print(finding, flush=True)
    if errors:
        raise UserError('\n'.join(errors))


def doctor(cfg: Config, args: argparse.Namespace) -> int:
    """Check with the parsed arguments of `check`; return the exit code."""
    began = time.monotonic()
    findings, ctx = examine(cfg, args, thorough=True)
    if ctx:
        rows = summarize(ctx)
        width = max(len(name) for name, _ in rows)
        print('settings in force')
        for name, value in rows:
            print(f'  {name:{width}}  {value}')
        print()
    for finding in findings:
        print(finding)
    counts = [
        f'{count} {level.name.lower()}{"s" * (count != 1)}'
        for level in reversed(Severity)
        for count in [sum(f.severity == level for f in findings)]
    ]
    print(f'{", ".join(counts)} in {time.monotonic() - began:.1f} s')
    if args.plot and ctx:
        draw_learning_rate(ctx, Path(args.plot))
        print(f'learning rate over the run: {args.plot}')
    if any(f.severity == Severity.ERROR for f in findings):
        return YOURS
    if args.time:
        with safe_loading():
            print(f'\n{measure(ctx)}')
    return OK
