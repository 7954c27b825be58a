"""Train: from a config and the command line to best.pth and a summary."""

import argparse
import copy
import gc
from contextlib import nullcontext, suppress
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop

from flower_mm.allocator import keep_memory
from flower_mm.commands import command, typed_arguments
from flower_mm.config import (
    ResolvedRun,
    datasets,
    fill_in,
    resolve,
    use_data_root,
)
from flower_mm.engine.checkpoint_state import checkpoints, number_of
from flower_mm.engine.distributed import is_first, leave_group, use_device
from flower_mm.engine.hooks.finite_loss import NotFiniteError
from flower_mm.engine.hooks.progress import ProgressHook
from flower_mm.engine.hooks.report import ReportHook
from flower_mm.engine.hooks.run_record import RunRecordHook
from flower_mm.engine.nan_retry import train_to_the_end
from flower_mm.engine.precision import choose_precision, use_bfloat16
from flower_mm.engine.run_start import choose_start
from flower_mm.engine.run_summary import print_summary
from flower_mm.engine.runner import FlowerRunner
from flower_mm.errors import UserError, message_of
from flower_mm.exit_codes import Terminated, interrupted, let_children_end
from flower_mm.files import sweep
from flower_mm.links import refuse_links_out
from flower_mm.lock import only_run_in
from flower_mm.machine_failures import explained
from flower_mm.weights.safe_loading import safe_loading


def configure(
    cfg: Config, args: argparse.Namespace, all_ranks: bool = False
) -> None:
    """Apply the command line to the config, with MMPretrain's meanings.

    `all_ranks`: whether all processes of a distributed run call this.
    """
    fill_in(cfg)
    if args.data_root:
        use_data_root(cfg, args.data_root)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    group = cfg.env_cfg.get('dist_cfg')
    timeout = group.get('timeout') if isinstance(group, dict) else None
    device = use_device(args.device, args.launcher, timeout)
    if args.amp:
        if device == 'cuda':
            cfg.optim_wrapper.type = 'AmpOptimWrapper'
            cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
        else:
            use_bfloat16(cfg)
    choose_precision(cfg, device, all_ranks)
    if args.resume == '':
        raise UserError('invalid --resume: expected a checkpoint or no value')
    if args.resume or args.resume_anyway:
        _resume_from(cfg, args.resume)
    if args.auto_scale_lr:
        cfg.setdefault('auto_scale_lr', ConfigDict()).enable = True
    if args.seed is not None:
        cfg.setdefault('randomness', ConfigDict()).seed = args.seed
    if args.weights:
        _start_from(cfg, args)
    if args.from_scratch:
        cfg.default_hooks.pretrained = None
    if args.head_only:
        _fit_head_only(cfg, args)
    if args.no_report:
        cfg.default_hooks.report = None
    if args.accumulate > 1:
        _accumulate(cfg, args.accumulate)
    if args.retry_nan:
        if args.resume_anyway:
            raise UserError(
                '--retry-nan needs checkpoints with the same settings: use it '
                'without --resume-anyway'
            )
        if not cfg.default_hooks.get('finite'):
            cfg.default_hooks.finite = ConfigDict(type='FiniteHook')
        cfg.default_hooks.finite.retries = args.retry_nan
    if args.skip_broken:
        for dataset in datasets(cfg, ('train_dataloader',)):
            dataset.broken = 'skip'
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader:
            _complete_loader(loader, args, device)


def _resume_from(cfg: Config, named: str | None) -> None:
    """Resume the named checkpoint, else the newest, else start a new run."""
    cfg.resume = True
    if named not in (None, 'auto'):
        cfg.load_from = named
    elif checkpoints(Path(cfg.work_dir)):
        cfg.load_from = None
    else:
        cfg.resume = False  # a new run loads what the config names


def _start_from(cfg: Config, args: argparse.Namespace) -> None:
    if args.from_scratch:
        raise UserError('use either --weights or --from-scratch')
    if cfg.get('load_from'):
        raise UserError(
            f'--weights has no effect: the config loads {cfg.load_from} '
            'after it.\nSwitch that off: --cfg-options load_from=None'
        )
    cfg.default_hooks.pretrained = ConfigDict(
        type='PretrainedHook', weights=args.weights
    )


def _fit_head_only(cfg: Config, args: argparse.Namespace) -> None:
    if cfg.get('val_cfg') is None or args.folds:
        raise UserError(
            '--head-only needs validation, which chooses best.pth: use it '
            'without --no-validate and --folds, and with val_cfg, '
            'val_dataloader and val_evaluator in the config'
        )
    # It has to be the last hook.
    cfg.default_hooks.pop('head_first', None)
    cfg.default_hooks.head_first = ConfigDict(type='HeadFirstHook', only=True)
    # Without steps there is nothing to average.
    cfg.default_hooks.ema = None


def _accumulate(cfg: Config, parts: int) -> None:
    """Split each batch into `parts` with one common step, for less memory."""
    loader = cfg.train_dataloader
    if loader.batch_size % parts:
        raise UserError(
            'invalid --accumulate: expected a divisor of the batch size '
            f'{loader.batch_size}, got {parts}.\nOr change the batch size: '
            '--cfg-options train_dataloader.batch_size='
            f'{loader.batch_size // parts * parts}'
        )
    loader.batch_size //= parts
    if cfg.get('auto_scale_lr'):
        # MMEngine compares it with the size of one part.
        cfg.auto_scale_lr.base_batch_size /= parts
    wrapper = cfg.optim_wrapper
    wrapper.accumulative_counts = parts * wrapper.get('accumulative_counts', 1)


def _complete_loader(
    loader: ConfigDict, args: argparse.Namespace, device: str
) -> None:
    loader.setdefault('persistent_workers', True)
    # Pinned memory speeds up copies to a GPU; torch warns without a GPU.
    loader.setdefault('pin_memory', device == 'cuda')
    if args.no_pin_memory:
        loader.pin_memory = False
    if args.no_persistent_workers:
        loader.persistent_workers = False


def resolve_run(
    cfg: Config, args: argparse.Namespace, all_ranks: bool = False
) -> ResolvedRun:
    """Apply command line and dataset to a copy of a config."""
    cfg = copy.deepcopy(cfg)
    configure(cfg, args, all_ranks)
    return resolve(cfg)


@safe_loading()
def train(cfg: Config, args: argparse.Namespace) -> int | None:
    """Train with the parsed arguments of `train`; return the exit code."""
    run = resolve_run(cfg, args, all_ranks=True)
    keep_memory()
    folder = run.work_dir
    first = is_first(run.cfg.launcher)
    with only_run_in(folder) if first else nullcontext():
        if first:
            sweep(folder)
        else:
            refuse_links_out(folder)
        run = choose_start(run, args)
        try:
            runner = _train(run, args)
        except KeyboardInterrupt as stop:
            if first:
                print(f'\nstopped; {_resume_hint(folder, args)}', flush=True)
            return interrupted(stop)
        except NotFiniteError:
            raise  # resuming would fail in the same way
        except UserError as error:
            if not getattr(error, 'while_training', False):
                raise
            raise UserError(
                f'{message_of(error)}\n{_resume_hint(folder, args)}'
            ) from error
        _end_workers(runner)
        leave_group()
        if first:
            for hook in runner.hooks:
                if isinstance(hook, ReportHook):
                    hook.write(runner)
            if not args.folds:
                print_summary(runner, args)
        del runner  # its model keeps the threads of the group alive
        gc.collect()
    return None


def _train(run: ResolvedRun, args: argparse.Namespace) -> FlowerRunner:
    """Build the Runner and train; write any error into run.json."""
    batch_size = run.cfg.train_dataloader.get('batch_size', 1)
    less = (
        'Split each batch into parts, for example of '
        f'{max(1, batch_size // 2)} photos: '
        f'--accumulate {2 * args.accumulate}'
    )
    runner = None
    try:
        with explained(run.work_dir, batch_size, less):
            runner = RUNNERS.build(run.cfg)
            for hook in runner.hooks:
                if isinstance(hook, ReportHook):
                    hook.later = True
            train_to_the_end(runner)
    except BaseException as ended:
        let_children_end()
        # SIGTERM may end a worker first.
        error = Terminated() if Terminated.came else ended
        if runner:
            _record(runner, error)
            # Resuming is useful after the first iteration. Reading
            # runner.iter would build the loop.
            is_built = isinstance(runner._train_loop, BaseLoop)
            error.while_training = is_built and runner.iter > 0
        if error is ended:
            raise
        raise error from ended
    return runner


def _end_workers(runner: FlowerRunner) -> None:
    """End persistent workers in torch's own order.

    If Python collected loaders and queues together, it could close the queues
    before the loaders have used them to end the workers.
    """
    for loop in (runner.train_loop, runner.val_loop):
        if loop:
            loop.dataloader._iterator = None


def _record(runner: FlowerRunner, error: BaseException) -> None:
    """Restore the terminal and write the end of the run into run.json."""
    is_stopped = isinstance(error, KeyboardInterrupt)
    for hook in runner.hooks:
        if isinstance(hook, ProgressHook):
            hook.close()
        elif isinstance(hook, RunRecordHook):
            # A full disk or a dead worker may make this fail as well.
            with suppress(OSError, UserError, RuntimeError):
                if is_stopped:
                    hook.end(runner, 'interrupted')
                else:
                    hook.end(runner, 'failed', error)


def _resume_hint(folder: Path, args: argparse.Namespace) -> str:
    last = max(map(number_of, checkpoints(folder)), default=None)
    if last is None:
        return f'no checkpoint yet. Start again:\n  {_command(args)}'
    return (
        f'the latest checkpoint is of epoch {last}. Resume from it:\n'
        f'  {_command(args, "--resume")}'
    )


def _command(args: argparse.Namespace, *more: str) -> str:
    """Return the command line with another checkpoint to resume from."""
    words = []
    given = iter(typed_arguments())
    for word in given:
        if word == '--resume' and args.resume not in (None, 'auto'):
            next(given)  # the checkpoint
        elif not word.startswith('--resume'):
            words.append(word)
    return command('train', *words, *more)
