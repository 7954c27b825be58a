"""What a comparison prints of one training."""

import json
from pathlib import Path

from flower_mm.sweep.run import _outcome
from flower_mm.sweep.trial import Trial

EARLIER = 'warn  The disk is slow.\n'
LOG = """\
warn  ResNet starts from random weights: 3.0 million numbers.
      default_hooks.pretrained: --weights FILE
note  100 of 100 backbone tensors come from a file.
      another line
50 photos of 5 classes to learn from
best accuracy 20.00 % on 10 validation photos, epoch 1 of 1
note: accuracy 20.00 % is not clearly above always predicting 'daisy'
  weights      run/best.pth
"""


def test_warnings_of_a_training_are_printed_with_its_accuracy(tmp_path):
    trial = Trial(Path('wide.py'), 0, 1, tmp_path, '', ())
    session = {'begun': 10.0, 'ended': 15.0, 'log': len(EARLIER)}
    for name, content in (
        ('trial.json', {'sessions': [session]}),
        ('run.json', {'status': 'finished', 'result': {'best_top1': 20.0}}),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    trial.log.write_text(EARLIER + LOG)
    first, *others = _outcome(trial, 0).splitlines()
    assert first == 'wide, seed 0: 20.00 % in 5 s'
    lines = LOG.splitlines()
    assert others == [f'  {lines[i]}' for i in (0, 1, 6)]
