"""Find the checkpoint to resume, and resume it with other settings."""

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

    Damaged ones are passed over with a message. Where all are damaged, this
    raises UserError: a new run would move away what might be repaired.
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
            '\nStart a new run, which moves them away: leave --resume out'
        )
    return None


def read_run(path: Path) -> dict:
    """Read the `meta` of a checkpoint that a run can resume."""
    checkpoint = read_checkpoint(path)
    lacking = [
        key
        for key, kind in PARTS.items()
        if not isinstance(checkpoint.get(key), kind)
    ]
    if lacking:
        raise UserError(
            f'{path} cannot be resumed, it holds no {", ".join(lacking)}.\n'
            'A run resumes from its epoch_N.pth. Weights alone start a new '
            'run, without --resume: --cfg-options resume=False '
            f'load_from={path}'
        )
    try:
        check_stored(checkpoint)
    except UserError as error:
        raise UserError(f'{path} cannot be resumed: {error}') from error
    return checkpoint['meta']


def epoch_of(best: Path) -> int:
    """The epoch of a best.pth; NEVER for a damaged file."""
    try:
        epoch = (read_checkpoint(best).get('meta') or {}).get('epoch')
    except UserError:
        return NEVER
    return epoch if isinstance(epoch, int) else NEVER


def forget_after(scalars: Path, epoch: int, iteration: int) -> None:
    """Remove from scalars.json what will be logged again.

    A line that a kill or a full disk has truncated is removed as well.
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
    """Replace tensors that do not fit the model by the model's own.

    Returns their names. An optimizer's state is kept for all weights or none.
    """
    own = unwrapped(runner.model).state_dict()
    unfit = []
    for part, prefix in (('state_dict', ''), ('ema_state_dict', 'module.')):
        if part not in checkpoint:
            continue
        stored = checkpoint[part]
        wanted = {prefix + key: value for key, value in own.items()}
        unfit += [
            key.removeprefix(prefix)
            for key in wanted
            if key not in stored or stored[key].shape != wanted[key].shape
        ]
        kept = {
            key: stored[key]
            if key in stored and stored[key].shape == value.shape
            else value.detach().clone()
            for key, value in wanted.items()
        }
        if 'steps' in stored:
            kept['steps'] = stored['steps']
        checkpoint[part] = kept
    then = checkpoint['meta'].get('cfg')
    then = then.get('optim_wrapper', {}) if isinstance(then, dict) else {}
    kind = runner.cfg.optim_wrapper.optimizer.type
    optimizer = checkpoint.get('optimizer') or {}
    sizes = [len(g['params']) for g in optimizer.get('param_groups', [])]
    groups = runner.optim_wrapper.optimizer.param_groups
    # paramwise_cfg may have changed the groups.
    if (
        unfit
        or sizes != [len(group['params']) for group in groups]
        or then.get('optimizer', {}).get('type') != kind
    ):
        checkpoint.pop('optimizer', None)
        checkpoint.pop('gradients', None)
    return sorted(set(unfit))


def fast_forward(runner: Runner, epochs: int) -> None:
    """Advance new schedules by a number of epochs.

    Schedules that follow a metric start from the beginning.
    """
    schedules = runner.param_schedulers or []
    with warnings.catch_warnings():
        # Schedules warn about missing steps of the optimizer.
        warnings.simplefilter('ignore')
        for _ in range(epochs):
            for _ in range(len(runner.train_dataloader)):
                for schedule in schedules:
                    if not schedule.by_epoch:
                        schedule.step()
            for schedule in schedules:
                if schedule.by_epoch:
                    schedule.step()
