"""Write run.json, the record of a run, and curves.png."""

import json
import time
from datetime import datetime
from pathlib import Path

from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from flower_mm.annotations import describe, lists_sha256
from flower_mm.commands import typed_command
from flower_mm.config import data_root
from flower_mm.engine.config_changes import changes
from flower_mm.engine.hooks.finite_loss import WENT_BACK
from flower_mm.engine.hooks.head_first import HeadFirstHook, last_layer
from flower_mm.engine.hooks.pretrained import (
    INITIAL,
    PRETRAINED,
    initial_weights,
)
from flower_mm.engine.hooks.train_dataset import SKIPPED
from flower_mm.environment import device_name, git_commit, versions
from flower_mm.errors import message_of
from flower_mm.files import replacing
from flower_mm.layout import RunDir
from flower_mm.models.bfloat16 import speed_up
from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS
from flower_mm.report.formatting import TOP1
from flower_mm.report.learning_curves import draw_curves, read_scalars

NAMED = 20  # skipped photos by name; the others are counted


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Write run.json after each epoch and curves.png at the end."""

    comes_last = True  # after the checkpoint hook has the best score

    def before_run(self, runner) -> None:
        self.created = time.monotonic()
        self.seconds = {'train': 0.0, 'validate': 0.0}
        self.validations = 0
        if not runner._resume:  # otherwise the checkpoint has it
            kind = initial_weights(runner.cfg, unwrapped(runner.model))
            runner.message_hub.update_info(INITIAL, kind)

    def before_train(self, runner) -> None:
        self.seconds['start'] = time.monotonic() - self.created
        self.started = datetime.now().astimezone().isoformat('T', 'seconds')
        self.resumed_at = runner.epoch
        if is_main_process():
            # The dataset may change while the run trains.
            root = data_root(runner.cfg)
            self.dataset = {
                'dataset_sha256': describe(root).get('sha256'),
                'lists_sha256': lists_sha256(root),
            }
            self.changes = _changes(runner)
            self.speed_up = None
            if runner.cfg.get('precision') == 'auto':
                self.speed_up = speed_up(get_device())
            self.command = _command(runner)
            self.parameters = _parameters(runner)
        self._write(runner, 'running')

    def before_train_epoch(self, runner) -> None:
        self.since = time.monotonic()

    def after_train_epoch(self, runner) -> None:
        self.seconds['train'] += time.monotonic() - self.since
        if runner.val_loop is None:
            self._write(runner, 'running')

    def before_val(self, runner) -> None:
        self.since = time.monotonic()
        self.passes = 0

    def before_val_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        # EMAValLoop validates twice, with plain and averaged weights.
        self.passes += batch_idx == 0

    def after_val(self, runner) -> None:
        if hasattr(self, 'started'):
            self.seconds['validate'] += time.monotonic() - self.since
            self.validations += self.passes
            self._write(runner, 'running')

    def after_train(self, runner) -> None:
        self.end(runner, 'finished')

    def end(
        self, runner, status: str, error: BaseException | None = None
    ) -> None:
        """Write the last run.json and draw the curves."""
        if not is_main_process() or not hasattr(self, 'started'):
            return
        self._write(runner, status, error)
        folder = Path(runner.work_dir)
        if (folder / RunDir.SCALARS).exists():
            draw_curves(folder / RunDir.SCALARS, folder / RunDir.CURVES)

    def _write(
        self, runner, status: str, error: BaseException | None = None
    ) -> None:
        if not is_main_process():
            return
        folder = Path(runner.work_dir)
        hub = runner.message_hub
        skipped = hub.get_info(SKIPPED, [])
        record = {
            'status': status,
            'config': runner.cfg.filename,
            'changes': self.changes,
            'command': self.command,
            'seed': runner.seed,
            'result': {
                # The accuracy of the best epoch by any metric.
                'best_top1': best_top1(runner),
                'best_metric': best_metric(runner),
                'best_score': hub.runtime_info.get('best_score'),
                'best_epoch': hub.runtime_info.get('best_epoch'),
                'epochs': runner.epoch,
                'max_epochs': runner.max_epochs,
            },
            'data_root': str(data_root(runner.cfg)),
            'started_in': str(Path.cwd()),  # data_root is relative to it
            **self.dataset,
            'classes': _classes(runner),
            'photos': {
                'train': len(runner.train_dataloader.dataset),
                'val': len(runner.val_dataloader.dataset)
                if runner.val_loop
                else 0,
            },
            'skipped_photos': {
                'count': len(skipped),
                'photos': skipped[:NAMED],
            },
            'device': device_name(get_device()),
            'processes': runner.world_size,
            'optim_wrapper': runner.cfg.optim_wrapper.get(
                'type', 'OptimWrapper'
            ),
            'bfloat16_speed_up': self.speed_up,
            PRETRAINED: hub.get_info(PRETRAINED, None),
            INITIAL: hub.get_info(INITIAL, None),
            'parameters': self.parameters,
            'head_first': hub.get_info('head_first', None),
            'seconds': {k: round(v, 2) for k, v in self.seconds.items()},
            # The passes over val in these seconds.
            'validations': self.validations,
            'started': self.started,
            'resumed_at_epoch': self.resumed_at or None,
            'resumed_although': hub.runtime_info.get('resumed_although', []),
            'went_back': hub.runtime_info.get(WENT_BACK, []),
            'versions': versions(),
            'git_commit': git_commit(),
        }
        if error:
            record['error'] = message_of(error)
            record['at'] = getattr(error, 'facts', None)
        with replacing(folder / RunDir.RECORD, 'w') as file:
            json.dump(record, file, indent=2, ensure_ascii=False)
            file.write('\n')


def best_metric(runner) -> str | None:
    """The metric that chooses the best epoch; None if it is unknown."""
    noted = runner.message_hub.runtime_info.get('best_metric')
    # MMEngine's own CheckpointHook stores the score alone.
    named = (getattr(hook, 'key_indicators', []) for hook in runner.hooks)
    return noted or next((names[0] for names in named if names), None)


def best_top1(runner) -> float | None:
    """The accuracy of the best epoch; None if it was not measured."""
    hub = runner.message_hub.runtime_info
    if best_metric(runner) in (TOP1, None):
        return hub.get('best_score')
    # Another metric chose it.
    for record in logged_scalars(runner):
        if TOP1 in record and record.get('step') == hub.get('best_epoch'):
            return record[TOP1]
    return None


def logged_scalars(runner) -> list[dict]:
    """The lines of scalars.json."""
    path = Path(runner.work_dir) / RunDir.SCALARS
    return read_scalars(path) if path.is_file() else []


def _changes(runner) -> dict | None:
    """What the config changes; for a resumed run, what run.json says."""
    earlier = _earlier_record(runner)
    if earlier and not runner.cfg.get('resume_anyway'):
        return earlier.get('changes')
    try:
        return changes(runner.cfg)
    except Exception as error:
        # The files may have changed since. Training needs none of them.
        runner.say(f'run.json lacks the changes of the config: {error}')
        return None


def _parameters(runner) -> dict[str, int]:
    model = unwrapped(runner.model)
    trained = model
    for hook in runner.hooks:
        if isinstance(hook, HeadFirstHook) and hook.only:
            trained = last_layer(model, len(_classes(runner))) or model
    return {
        'all': sum(p.numel() for p in model.parameters()),
        'trained': sum(
            p.numel() for p in trained.parameters() if p.requires_grad
        ),
    }


def _classes(runner) -> list[str]:
    return list(runner.train_dataloader.dataset.metainfo['classes'])


def _command(runner) -> str:
    """The command line; for a resumed run, that of its start."""
    return _earlier_record(runner).get('command') or typed_command()


def _earlier_record(runner) -> dict:
    """The run.json of a resumed run; empty for a new run."""
    if not runner._resume:
        return {}
    try:
        path = Path(runner.work_dir) / RunDir.RECORD
        record = json.loads(path.read_text('utf-8'))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
