"""What a host process is like before and after it uses the package."""

import subprocess
import sys

import pytest

SCRIPT = """
import hashlib, logging, multiprocessing, os, random, signal, sys, threading
import warnings
import cv2, numpy, torch
import mmengine.config.config, mmengine.config.utils, mmengine.device.utils
import mmengine.registry.registry
import mmpretrain.datasets, mmpretrain.models
from mmengine.runner import CheckpointLoader, checkpoint

def functions(module):
    return {k: v for k, v in vars(module).items() if callable(v)}

def state():
    return {
        'loaders': functions(checkpoint),
        'schemes': dict(CheckpointLoader._schemes),
        'config': functions(mmengine.config.config),
        'config_packages': dict(mmengine.config.utils.MODULE2PACKAGE),
        'registry': functions(mmengine.registry.registry),
        'device': mmengine.device.utils.DEVICE,
        'warning_filters': list(warnings.filters),
        'hooks': (sys.excepthook, threading.excepthook),
        'streams': (sys.stdout, sys.stderr),
        'environment': dict(os.environ),
        'path': list(sys.path),
        'threads': (torch.get_num_threads(), torch.get_num_interop_threads()),
        'opencv_threads': cv2.getNumThreads(),
        'signals': [
            signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)
        ],
        'start_method': multiprocessing.get_start_method(allow_none=True),
        'logging': (logging.root.level, list(logging.root.handlers)),
        'random': (
            random.getstate(),
            hashlib.sha256(repr(numpy.random.get_state()).encode()).digest(),
            torch.get_rng_state().tolist(),
        ),
        'torch': (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_autocast_enabled('cpu'),
            torch.get_autocast_dtype('cuda'),
            torch.backends.cudnn.benchmark,
        ),
    }

def compare(after):
    now = state()
    for name in before:
        if now[name] != before[name]:
            print(after, 'changes', name)

before = state()
import flower_mm
import flower_mm.engine
import flower_mm.engine.train
compare('import')
classifier = flower_mm.Classifier(sys.argv[1], device=sys.argv[3])
compare('Classifier')
assert classifier(sys.argv[2]).label in classifier.classes
assert len(list(classifier.each([sys.argv[2]] * 3))) == 3
compare('prediction')
from flower_mm import process_resources
assert not process_resources.keeps_memory
"""


@pytest.mark.parametrize(
    'device', ['auto', pytest.param('cpu', marks=pytest.mark.nightly)]
)
def test_the_host_process_stays_as_it_was(plain_run, photos, device):
    photo = next(photos.rglob('*.jpg'))
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, plain_run / 'best.pth', photo, device],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ''
