"""A config in a file cannot ask for more memory than its weights take."""

from pathlib import Path

import pytest
import torch

from flower_mm import Classifier
from flower_mm.errors import UserError


@pytest.mark.parametrize(
    'change',
    [
        {'base_channels': 8192},
        {'stem_channels': 90_000, 'deep_stem': True},
        {'depth': 152, 'base_channels': 2048},
        # A table of (128 x 128) x (128 x 128) numbers for each block.
        {'type': 'SwinTransformer', 'window_size': 128},
    ],
    ids=repr,
)
def test_a_model_larger_than_its_weights(change, plain_run: Path, tmp_path):
    found = torch.load(plain_run / 'best.pth', weights_only=True)
    model = found['meta']['cfg']['model']
    if 'type' in change:
        model['backbone'] = change
    else:
        model['backbone'] |= change
    torch.save(found, tmp_path / 'best.pth')
    with pytest.raises(UserError, match='larger than the weights') as error:
        Classifier(tmp_path / 'best.pth')
    assert str(error.value).startswith(str(tmp_path))
    assert '\n' not in str(error.value)
