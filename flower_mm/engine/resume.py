"""Going on with a run: from which checkpoint, and under new settings."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

from mmengine.runner import Runner

from flower_mm.engine.checkpoint_state import checkpoints
from flower_mm.engine.checkpoint_validation import check_stored
from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.models.structure import unwrapped
from flower_mm.weights.read_checkpoint import read_checkpoint

NEVER = 1 << 60
PARTS = {
    'meta': dict,
    'state_dict': dict,
    'optimizer': dict,
    'message_hub': dict,
    'param_schedulers': list,
}


def newest_whole(
    folder: Path, say: Callable[[str], None]
) -> tuple[Path, dict] | None:
    """The newest checkpoint that can be resumed, and its `meta`.

    Damaged ones are passed over, and said. Where all are, the run stops: to
    start anew would put away what might still be mended.
    """
    kept = checkpoints(folder)
    for path in reversed(kept):
        try:
            return path, read_run(path)
        except UserError as error:
            say(f'passed over: {error}')
    if kept:
        raise UserError(
            f'none of the {len(kept)} checkpoints in {folder} can be resumed.'
            '\nStart anew, which puts them aside: leave --resume out'
        )
    return None


def read_run(path: Path) -> dict:
    """Read the `meta` of a checkpoint that a run can go on from."""
    found = read_checkpoint(path)
    lacking = [
        key
        for key, kind in PARTS.items()
        if not isinstance(found.get(key), kind)
    ]
    if lacking:
        raise UserError(
            f'{path} cannot be resumed, it holds no {", ".join(lacking)}.\n'
            'A run goes on from its epoch_N.pth; weights alone start a new '
            'one, without --resume: --cfg-options resume=False '
            f'load_from={path}'
        )
    try:
        check_stored(found)
    except UserError as error:
        raise UserError(f'{path} cannot be resumed: {error}') from error
    return found['meta']


def epoch_of(best: Path) -> int:
    """Which epoch a best.pth is of; a damaged one is of none to come."""
    try:
        epoch = (read_checkpoint(best).get('meta') or {}).get('epoch')
    except UserError:
        return NEVER
    return epoch if isinstance(epoch, int) else NEVER


def forget_after(scalars: Path, epoch: int, iteration: int) -> None:
    """Take out of scalars.json what will be logged again.

    A line that a kill or a full disk has cut short goes as well.
    """
    if not scalars.is_file():
        return
    kept = []
    for line in scalars.read_text('utf-8', 'replace').splitlines():
        try:
            step = json.loads(line)
            last = iteration if 'loss' in step else epoch
            if step['step'] <= last:
                kept.append(line)
        except (ValueError, TypeError, KeyError):
            continue
    with replacing(scalars, 'w') as file:
        file.writelines(f'{line}\n' for line in kept)


# --- --resume-anyway ---------------------------------------------------------


def fit(checkpoint: dict, runner: Runner) -> list[str]:
    """Replace what does not fit the model by the model's own values.

    Returns the names. An optimizer's state belongs to all weights or none.
    """
    own = unwrapped(runner.model).state_dict()
    strange = []
    # MMEngine keeps the average and the plain weights in two places.
    for part, prefix in (('state_dict', ''), ('ema_state_dict', 'module.')):
        if part not in checkpoint:
            continue
        there = checkpoint[part]
        wanted = {prefix + key: value for key, value in own.items()}
        strange += [
            key.removeprefix(prefix)
            for key in wanted
            if key not in there or there[key].shape != wanted[key].shape
        ]
        kept = {
            key: there[key]
            if key in there and there[key].shape == value.shape
            else value.detach().clone()
            for key, value in wanted.items()
        }
        if 'steps' in there:
            kept['steps'] = there['steps']
        checkpoint[part] = kept
    then = checkpoint['meta'].get('cfg')
    then = then.get('optim_wrapper', {}) if isinstance(then, dict) else {}
    kind = runner.cfg.optim_wrapper.optimizer.type
    optimizer = checkpoint.get('optimizer') or {}
    sizes = [len(g['params']) for g in optimizer.get('param_groups', [])]
    groups = runner.optim_wrapper.optimizer.param_groups
    # Settings of single weights make other groups.
    if (
        strange
        or sizes != [len(group['params']) for group in groups]
        or then.get('optimizer', {}).get('type') != kind
    ):
        checkpoint.pop('optimizer', None)
        checkpoint.pop('gradients', None)
    return sorted(set(strange))


def fast_forward(runner: Runner, epochs: int) -> None:
    """Bring new schedules to where `epochs` epochs would have brought them.

    Those that follow a metric start afresh: nobody knows what it would have
    been.
    """
    schedules = runner.param_schedulers or []
    with warnings.catch_warnings():
        # They miss the optimizer's steps between theirs.
        warnings.simplefilter('ignore')
        for _ in range(epochs):
            for _ in range(len(runner.train_dataloader)):
                for schedule in schedules:
                    if not schedule.by_epoch:
                        schedule.step()
            for schedule in schedules:
                if schedule.by_epoch:
                    schedule.step()
