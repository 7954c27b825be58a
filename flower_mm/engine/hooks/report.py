"""Write the report at the end of a training."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from flower_mm.commands import command
from flower_mm.errors import message_of
from flower_mm.layout import RunDir
from flower_mm.registry import HOOKS
from flower_mm.report.train_batch import PHOTOS, write_train_batch
from flower_mm.user_modules import import_flags


@HOOKS.register_module()
class ReportHook(Hook):
    """Write report.html after the run; a failure does not fail the run.

    `train` sets `later` and writes it after leaving the process group, where
    other processes would time out waiting for this one.
    """

    comes_last = True  # when run.json has the result
    later = False

    def before_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Draw train_batch.jpg for the report, once per run."""
        if runner.iter or not is_main_process():
            return
        # A batch of another form has no picture, and training goes on.
        with suppress(OSError, ValueError, TypeError, AttributeError):
            photos = [
                photo.cpu().permute(1, 2, 0).numpy()
                for photo in data_batch['inputs'][:PHOTOS]
            ]
            if is_bgr(runner.cfg):
                photos = [photo[..., ::-1] for photo in photos]
            write_train_batch(
                photos, Path(runner.work_dir) / RunDir.TRAIN_BATCH
            )

    def after_train(self, runner) -> None:
        if is_main_process() and not self.later:
            self.write(runner)

    def write(self, runner) -> None:
        if runner.val_loop is not None:
            report(Path(runner.work_dir), runner.say, runner.cfg)


def is_bgr(cfg: Config) -> bool:
    """Return whether the photos of a pipeline are in blue, green, red."""
    preprocessor = cfg.model.get('data_preprocessor')
    preprocessor = preprocessor or cfg.get('data_preprocessor') or {}
    return bool(preprocessor.get('to_rgb'))


def report(
    folder: Path, say: Callable[[str], None], cfg: Config | None = None
) -> None:
    """Write the report, or print why that failed.

    Args:
        folder: Of the run.
        say: Prints a message.
        cfg: The config of the run, which may name parts of the user's own.
    """
    # Half a second of imports that an interrupted run does not pay.
    from flower_mm.report.report_files import write_report

    try:
        write_report(folder, config=cfg)
    except (Exception, KeyboardInterrupt) as error:
        flags = import_flags(cfg or {})
        reason = message_of(error) or type(error).__name__
        say(
            f'no report was written: {reason}\n'
            f'Try again: {command("report", folder, *flags)}'
        )
