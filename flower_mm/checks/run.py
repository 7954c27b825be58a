"""Run all checks and show their findings."""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.config import Config

from flower_mm.checks import (
    config_structure,
    dataset_classes,
    dataset_folder,
    dataset_photos,
    disk,
    hardware,
    hooks,
    preprocessing,
    pretrained_weights,
    rehearsal,
    schedule,
    split_leakage,
)
from flower_mm.checks.building import reason
from flower_mm.checks.codes import Severity, parse_codes
from flower_mm.checks.context import CheckContext, open_context
from flower_mm.checks.finding import Finding, FindingError
from flower_mm.checks.learning_rate import draw_learning_rate
from flower_mm.checks.settings_summary import summarize
from flower_mm.checks.timing import measure
from flower_mm.config import ResolvedRun
from flower_mm.engine.resolved_run import resolve_training
from flower_mm.errors import UserError
from flower_mm.exit_codes import OK, USER_ERROR
from flower_mm.launcher import is_first
from flower_mm.weights.safe_loading import safe_loading

# They read the config before the command line is applied; an error of theirs
# ends the checks.
FIRST_CHECKS = (config_structure, dataset_folder)
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
)
FAILED = 'RUN008'


@safe_loading()
def examine(
    cfg: Config,
    args: argparse.Namespace,
    thorough: bool = False,
    all_ranks: bool = False,
) -> tuple[list[Finding], CheckContext | None]:
    """Resolve a training and check it.

    Args:
        cfg: A config as `read_training_config` returns it.
        args: The parsed arguments of `train` or `check`.
        thorough: Whether checks may take seconds.
        all_ranks: Whether all processes of a distributed run resolve it now.

    Returns:
        All findings, the worst first, without those to ignore; and the
        context of the checks, None where the training cannot be resolved.
    """
    ignored = parse_codes(','.join(args.ignore or []))
    ignored |= parse_codes(','.join(cfg.get('ignore_checks') or []))
    findings: list[Finding] = []

    def has_errors(check: Callable[..., Iterator[Finding]], *given) -> bool:
        new = _findings(args.config, check, *given)
        new = [finding for finding in new if finding.code not in ignored]
        findings.extend(new)
        return any(finding.severity == Severity.ERROR for finding in new)

    ctx = None
    if not any(has_errors(first.check, cfg, args) for first in FIRST_CHECKS):
        try:
            ctx = open_context(cfg, args, thorough, all_ranks)
        except Exception as error:
            findings.append(_from_error(error, args.config))
        else:
            for check in CHECKS:
                has_errors(check.check, ctx)
    # One mistake may stop several checks.
    findings = list(dict.fromkeys(findings))
    return sorted(findings, key=lambda finding: -finding.level), ctx


def _from_error(error: Exception, where: str) -> Finding:
    if isinstance(error, FindingError):
        return error.finding
    if not isinstance(error, UserError):
        return Finding('CFG014', where, reason(error))
    message, _, fix = str(error).partition('\n')
    return Finding('CFG014', where, message, ' '.join(fix.split()))


def _findings(
    where: str, check: Callable[..., Iterator[Finding]], *given
) -> list[Finding]:
    """Return what a check finds; an error that it meets is a finding."""
    findings = []
    try:
        for finding in check(*given):
            findings.append(finding)
    except UserError as error:
        findings.append(_from_error(error, where))
    except Exception as error:
        # The machine's fault, or one of the check.
        name = check.__module__.rpartition('.')[2]
        findings.append(Finding(FAILED, f'checks.{name}', reason(error)))
    return findings


def check_before_training(
    cfg: Config, args: argparse.Namespace
) -> ResolvedRun:
    """Resolve a training and check it in the first process.

    Warnings are printed, errors raise a UserError. All processes of a
    distributed run call this.
    """
    if not is_first(args.launcher):
        return resolve_training(cfg, args, all_ranks=True)
    findings, ctx = examine(cfg, args, all_ranks=True)
    errors = [f.text for f in findings if f.severity == Severity.ERROR]
    for finding in findings:
        # An error explains why other checks failed.
        failed = finding.code == FAILED and not errors
        if finding.severity == Severity.WARNING or failed:
            print(finding, flush=True)
    if errors:
        raise UserError('\n'.join(errors))
    assert ctx is not None  # without it, a finding is an error
    return ctx.run


def print_checks(cfg: Config, args: argparse.Namespace) -> int:
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
        return USER_ERROR
    if args.time and ctx:
        with safe_loading():
            print(f'\n{measure(ctx)}')
    return OK
