"""What each experiment tracker needs, on MMEngine's backends for them."""

import argparse
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flower_mm.commands import python

# The package on PyPI of each tracker, by the name to import.
PACKAGES = {
    'mlflow': 'mlflow-skinny',
    'wandb': 'wandb',
    'aim': 'aim',
    'clearml': 'clearml',
}


def parse_trackers(text: str) -> list[str]:
    """Parse names with commas between them; require their packages."""
    names = text.split(',')
    for name in names:
        if name not in PACKAGES:
            raise argparse.ArgumentTypeError(
                f'must be of {", ".join(PACKAGES)}, got {name!r}; TensorBoard '
                'is always written'
            )
        if not find_spec(name):
            raise argparse.ArgumentTypeError(
                f'{name} requires a package that is not installed:\n'
                f'{python()} -m pip install {PACKAGES[name]}'
            )
    return names


def grouped(scalars: dict) -> dict:
    """Put the phase in front of each name."""
    # Training logs its learning rates, validation does not.
    phase = 'train' if 'lr' in scalars else 'val'
    return {f'{phase}/{key}': value for key, value in scalars.items()}


@dataclass(frozen=True)
class Job:
    """What the process of one tracker is told by the training."""

    tracker: str
    folder: str  # of the run
    dataset: str
    config: dict


class Tracker:
    """One run in one tracker."""

    def __init__(self, job: Job, run: str | None) -> None:
        """Open the run of an earlier process, else a new one."""
        from mmengine.config import Config
        from mmengine.registry import VISBACKENDS
        from mmengine.visualization import vis_backend  # noqa: F401

        self.name, self.folder = job.tracker, Path(job.folder)
        # The backends take a Config with this name in it.
        self.config = Config({**job.config, 'work_dir': job.folder})
        settings = getattr(self, f'_{self.name}')(
            f'flower_mm/{job.dataset}', self.folder.name, run
        )
        self.backend: Any = VISBACKENDS.build(
            {**settings, 'save_dir': job.folder}
        )
        self.tool = self.backend.experiment  # connects
        if self.name == 'clearml' and run:
            # Continued tasks count from their last iteration.
            self._task.set_initial_iteration(0)

    def _mlflow(self, project: str, name: str, run: str | None) -> dict:
        import mlflow

        # Its own defaults amount to minutes for each request.
        os.environ.setdefault('MLFLOW_HTTP_REQUEST_TIMEOUT', '20')
        os.environ.setdefault('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '1')
        if run:
            os.environ['MLFLOW_RUN_ID'] = run
        return {
            'type': 'MLflowVisBackend',
            'tracking_uri': mlflow.get_tracking_uri(),
            'exp_name': os.environ.get('MLFLOW_EXPERIMENT_NAME', project),
            'run_name': os.environ.get('MLFLOW_RUN_NAME', name),
            'artifact_suffix': (),  # attached below
        }

    def _wandb(self, project: str, name: str, run: str | None) -> dict:
        init = {
            'project': os.environ.get('WANDB_PROJECT')
            or project.replace('/', '-'),
            'name': os.environ.get('WANDB_NAME', name),
            'id': run or os.environ.get('WANDB_RUN_ID'),
            # Its links would lead out of the folder of the run.
            'dir': os.environ.get('WANDB_DIR', '.'),
            'resume': 'allow',
        }
        return {'type': 'WandbVisBackend', 'init_kwargs': init}

    def _aim(self, project: str, name: str, run: str | None) -> dict:
        init = {'experiment': project, 'run_hash': run}
        return {'type': 'AimVisBackend', 'init_kwargs': init}

    def _clearml(self, project: str, name: str, run: str | None) -> dict:
        init = {
            'project_name': os.environ.get('CLEARML_PROJECT', project),
            'task_name': os.environ.get('CLEARML_TASK', name),
            # By default it overwrites an earlier task of this name.
            'reuse_last_task_id': False,
            'continue_last_task': run or False,
            # They would show this process instead of the training.
            'auto_connect_arg_parser': False,
            'auto_connect_frameworks': False,
            'auto_resource_monitoring': False,
        }
        return {
            'type': 'ClearMLVisBackend',
            'init_kwargs': init,
            'artifact_suffix': (),
        }

    @property
    def run(self) -> str:
        """The tracker's name of the run."""
        if self.name == 'mlflow':
            run = self.tool.active_run() or self.tool.start_run()
            return run.info.run_id
        if self.name == 'wandb':
            return self.tool.run.id
        return self.tool.hash if self.name == 'aim' else self._task.id

    @property
    def _task(self) -> Any:
        return self.tool.Task.current_task()

    def send_config(self) -> None:
        if self.name == 'wandb':
            # The backend would upload all Python files of this folder.
            self.tool.config.update(self.config.to_dict())
        else:
            self.backend.add_config(self.config)

    def send_scalars(self, record: dict) -> None:
        """Send a line of scalars.json."""
        values = {k: v for k, v in record.items() if k != 'step'}
        self.backend.add_scalars(grouped(values), record['step'])

    def attach(self, path: Path) -> None:
        if self.name == 'mlflow':
            self.tool.log_artifact(str(path))
        elif self.name == 'wandb':
            self.tool.save(str(path), base_path=str(self.folder), policy='now')
        elif self.name == 'clearml':
            self._task.upload_artifact(
                path.name, str(path), wait_on_upload=True
            )
        else:
            # Aim stores no files without a store of its own for them.
            self.tool[path.name] = str(path.resolve())

    def close(self, finished: bool) -> None:
        if self.name == 'mlflow':
            # end_run() forgets the run even where the server does not answer.
            self.tool.MlflowClient().set_terminated(
                self.run, 'FINISHED' if finished else 'FAILED'
            )
            return
        if self.name == 'wandb':
            self.tool.finish(exit_code=0 if finished else 1)
            return
        if self.name == 'clearml' and not finished:
            self._task.mark_failed()
        self.backend.close()


def is_run_name(value: object) -> bool:
    return isinstance(value, str) and bool(
        re.fullmatch(r'[\w-]{1,128}', value)
    )
