"""Train with the batch-norm statistics of the pretrained network."""

from mmengine.hooks import Hook
from torch.nn.modules.batchnorm import _BatchNorm

from flower_mm.models.structure import unwrapped
from flower_mm.registry import HOOKS


@HOOKS.register_module()
class FrozenStatisticsHook(Hook):
    """Keep the batch-norm statistics of the initial weights.

    Statistics of a few augmented photos differ from those in which the last
    layer was fitted, and from those of the photos to classify. Scales and
    shifts are trained. MMPretrain's `norm_eval` does the same in some
    backbones. Without pretrained weights, statistics have to be learned.
    """

    def before_train_iter(
        self, runner, batch_idx: int, data_batch: object = None
    ) -> None:
        if batch_idx:
            return  # the loop has set all layers to training before the epoch
        if not runner.message_hub.runtime_info.get('pretrained'):
            return
        for layer in unwrapped(runner.model).modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()
