"""A comparison prints the result and the warnings of each training."""

import json
from pathlib import Path

from flower_mm.sweep.compare import print_result
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


def test_new_warnings_of_a_config_are_printed(tmp_path, capsys):
    session = {'begun': 10.0, 'ended': 15.0, 'log': len(EARLIER)}
    known_warnings = set()
    printed = []
    for seed in (0, 1):
        trial = Trial(Path('wide.py'), seed, 1, tmp_path / str(seed), '', ())
        trial.folder.mkdir()
        for name, content in (
            ('trial.json', {'sessions': [session]}),
            (
                'run.json',
                {'status': 'finished', 'result': {'best_top1': 20.0}},
            ),
        ):
            (trial.folder / name).write_text(json.dumps(content))
        log = LOG.replace('20.00 %', f'2{seed}.00 %')
        trial.log.write_text(EARLIER + log)
        print_result(trial, 0, known_warnings)
        printed.append(capsys.readouterr().out.splitlines())
    lines = [f'  {line}' for line in LOG.splitlines()]
    assert printed[0] == [
        'wide, seed 0: 20.00 % in 5 s', lines[0], lines[1], lines[6],
    ]  # fmt: skip
    assert printed[1] == [
        'wide, seed 1: 20.00 % in 5 s',
        lines[6].replace('20.00 %', '21.00 %'),
    ]
