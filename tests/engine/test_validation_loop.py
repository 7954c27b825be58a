"""Which weights a validation reports: the average, or the plain ones."""

from types import SimpleNamespace

import pytest
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from torch import nn

from flower_mm.engine.validation_loop import EMAValLoop
from flower_mm.weights.best_checkpoint import TOP1


class Loop(EMAValLoop):
    """Validates nothing; measures what it is told."""

    def __init__(self, photos: int, plain: float, average: float) -> None:
        self.dataloader = SimpleNamespace(dataset=range(photos))
        self.measures = iter([{TOP1: plain}, {TOP1: average}])
        self.info: dict = {}
        self.kept = SimpleNamespace(predictions=None)
        self._runner = SimpleNamespace(
            hooks=[],
            call_hook=lambda *_, **__: None,
            message_hub=SimpleNamespace(
                update_info=self.info.__setitem__, runtime_info=self.info
            ),
        )

    def _averages(self) -> bool:
        return True

    def _measure(self) -> dict:
        measured = next(self.measures)
        self.kept.predictions = measured[TOP1]
        return measured


@pytest.mark.parametrize(
    ('photos', 'plain', 'average', 'used'),
    [
        (25, 92.0, 84.0, 'ema'),  # the standard error is 7.3 points
        (1000, 92.0, 84.0, 'plain'),  # 1.2 points
        (1000, 84.0, 84.0, 'ema'),
        (1000, 80.0, 84.0, 'ema'),
        (25, 90.0, 40.0, 'plain'),
    ],
)
def test_few_photos_cannot_choose_the_plain_weights(
    photos, plain, average, used
):
    loop = Loop(photos, plain, average)
    metrics = loop.run()
    assert loop.info['val_weights'] == used
    assert metrics[TOP1] == (plain if used == 'plain' else average)
    assert loop.predictions == metrics[TOP1]


def test_an_exponential_average_must_be_as_good():
    """It may still be close to the initial weights."""
    loop = Loop(25, 92.0, 84.0)
    hook = EMAHook(ema_type='ExponentialMovingAverage')
    hook.ema_model = ExponentialMovingAverage(nn.Linear(1, 1))
    loop.runner.hooks.append(hook)
    assert loop.run()[TOP1] == 92.0
    assert loop.info['val_weights'] == 'plain'
