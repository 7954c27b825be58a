"""Trainings on the nodes of a Ray cluster, which share the folder of results.

A training whose worker or node dies is started again on a node that lives,
and resumes from its last checkpoint.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from flower_mm.cluster import (
    TRIES,
    cause_of,
    code_version,
    connect,
    places,
    require_places,
    require_same_code,
)
from flower_mm.exit_codes import FAULT
from flower_mm.sweep.run_trials import (
    Executor,
    LocalProcesses,
    Process,
    training_command,
)
from flower_mm.sweep.trial import Trial

SET_DEATH_SIGNAL = 1  # of prctl


def executor_of(args: argparse.Namespace) -> Executor:
    """Return what runs the trainings, by the flags of the command."""
    if not args.cluster:
        return LocalProcesses(args.jobs or len(args.device), args.device)
    ray = connect(args.cluster)
    needs = {'CPU': args.cpus_per_trial, 'GPU': args.gpus_per_trial}
    require_places(ray, needs)
    return RayTrials(
        args.jobs or places(ray, needs), ray, needs, args.device[0]
    )


class TrainingWorker:
    """An actor that runs one training."""

    process: subprocess.Popen | None = None

    def node(self) -> tuple[str, str]:
        """Return the name of the node and its version of flower_mm."""
        return socket.gethostname(), code_version()

    def run(self, trial: Trial, device: str, folder: str) -> int:
        """Train until the end; return the exit code."""
        prctl = ctypes.CDLL(None).prctl if sys.platform == 'linux' else None

        def end_with_parent() -> None:
            # Otherwise it would go on beside the one that replaces it.
            if prctl is not None:
                prctl(SET_DEATH_SIGNAL, signal.SIGKILL)

        os.chdir(folder)
        with trial.log.open('a', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                training_command(trial, device),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
        return self.process.wait()

    def terminate(self) -> None:
        """Ask for a checkpoint and the end."""
        if self.process is not None:
            self.process.terminate()


@dataclass
class RayTrials:
    """The executor of trainings on a cluster."""

    slots: int
    ray: ModuleType
    needs: dict[str, float]
    device: str

    def start(self, trial: Trial, slot: int) -> Process:
        training = _Training(self, trial)
        training.launch()
        return training


@dataclass
class _Training:
    """A training on some node, with the methods of subprocess.Popen."""

    executor: RayTrials
    trial: Trial
    code: int | None = None
    losses: int = 0  # since the last epoch
    epochs: int = 0
    is_stopped: bool = False
    actor: Any = None
    started: Any = None  # references to the results of the actor
    ended: Any = None

    def launch(self) -> None:
        """Start it, or resume it from its last checkpoint."""
        ray, needs = self.executor.ray, self.executor.needs
        self.actor = (
            ray.remote(TrainingWorker)
            .options(
                num_cpus=needs['CPU'],
                num_gpus=needs['GPU'],
                max_concurrency=2,
                scheduling_strategy='SPREAD',
            )
            .remote()
        )
        self.started = self.actor.node.remote()

    def poll(self) -> int | None:
        """Return the exit code of a training that has ended."""
        ray = self.executor.ray
        if self.code is not None:
            return self.code
        if self.actor is None:
            # A node may be lost to the driver and still finish its epoch.
            if not self.trial.is_busy():
                self.launch()
            return None
        reference = self.ended or self.started
        if not ray.wait([reference], timeout=0)[0]:
            return None
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:
            self._lose(cause_of(str(error)))
            return self.code
        if self.ended is None:
            require_same_code(*result)
            with self.trial.begin(self.executor.slots):
                self.ended = self.actor.run.remote(
                    self.trial, self.executor.device, str(Path.cwd())
                )
            return None
        self.code = result
        ray.kill(self.actor)
        return self.code

    def _lose(self, reason: str) -> None:
        if self.ended is not None:
            self.trial.end()
        if (epochs := self.trial.epochs_done()) > self.epochs:
            self.epochs, self.losses = epochs, 0
        self.losses += 1
        self.actor = self.ended = None
        if self.is_stopped or self.losses == TRIES:
            self.code = FAULT
        else:
            print(
                f'{self.trial.name}: its worker has died after {epochs} '
                f'epochs ({reason}); it resumes on another one',
                flush=True,
            )

    def wait(self, timeout: float | None = None) -> int:
        if self.actor is not None and self.code is None:
            reference = self.ended or self.started
            self.executor.ray.wait([reference], timeout=timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.trial.name, timeout or 0)
        assert self.code is not None
        return self.code

    def terminate(self) -> None:
        self.is_stopped = True
        if self.ended is None:
            self.kill()  # before its start
        else:
            self.actor.terminate.remote()

    def kill(self) -> None:
        self.is_stopped = True
        if self.actor is not None:
            self.executor.ray.kill(self.actor)
        if self.ended is None:
            with self.trial.begin(self.executor.slots):
                self.code = FAULT
