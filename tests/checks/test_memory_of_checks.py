"""The checks leave nothing of their rehearsal in memory."""

import gc

import torch
from examining import TINY_ON_BASE, look_at, write


def test_the_model_of_a_rehearsal_is_freed(dataset, tmp_path):
    def tensors() -> int:
        gc.collect()
        return sum(isinstance(o, torch.Tensor) for o in gc.get_objects())

    path = write(tmp_path, TINY_ON_BASE)
    look_at(path, '--data-root', dataset)
    before = tensors()
    look_at(path, '--data-root', dataset)
    assert tensors() == before
