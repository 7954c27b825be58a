"""Any classifier of timm as a backbone."""

import sys
from functools import cached_property
from typing import Any

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor

from flower_mm.errors import UserError, printable
from flower_mm.models.low_rank import accept_plain, add_low_rank_updates
from flower_mm.registry import MODELS
from flower_mm.timm_record import record_of

PREFIX = 'timm_model.'


@MODELS.register_module()
class TimmBackbone(BaseBackbone):
    """A network of timm without its classifier.

    It returns the features that timm's own classifier gets, so that the tokens
    of a ViT are pooled as its authors do.

    Args:
        model_name: A name of `timm.list_models()` or
            `timm.list_pretrained()`, such as 'tf_efficientnet_lite0'.
        img_size: The side of the photos, for networks that are built for one
            size; the others take any. By default that of timm's record.
        drop_path_rate: Stochastic depth; by default that of the network.
        frozen_stages: Freeze timm's coarse parameter groups from 0, the stem,
            to this one; -1 freezes none. A group is a stage of a CNN and a
            block of a ViT.
        with_cp: Recompute activations in the backward pass to save memory
            (gradient checkpointing).
        lora_rank: Freeze the network and train updates of this rank of its
            attention and MLP weights (LoRA); 0 trains the weights themselves.
            best.pth has the sum of both.
    """

    def __init__(
        self,
        model_name: str,
        img_size: int | None = None,
        drop_path_rate: float | None = None,
        frozen_stages: int = -1,
        with_cp: bool = False,
        lora_rank: int = 0,
    ) -> None:
        super().__init__()
        import timm

        is_fixed = record_of(model_name).fixed_input_size
        settings: dict[str, Any] = {
            'img_size': img_size if is_fixed else None,
            'drop_path_rate': drop_path_rate,
        }
        settings = {k: v for k, v in settings.items() if v is not None}
        try:
            # Of a name alone: it loads no weights.
            network: Any = timm.create_model(
                model_name, num_classes=0, **settings
            )
            if with_cp:
                network.set_grad_checkpointing()
        except (TypeError, AssertionError) as error:
            settings['with_cp'] = with_cp
            raise UserError(
                f'{model_name} of timm does not support {settings}: {error}'
            ) from error
        if lora_rank:
            add_low_rank_updates(network, lora_rank)
        self.timm_model = network
        self.frozen_stages = frozen_stages
        self._freeze()

    def init_weights(self) -> None:
        """Keep the weights that timm's constructor has initialised.

        MMEngine would call `init_weights` of some networks a second time.
        """

    def forward(self, photos: Tensor) -> tuple[Tensor]:
        features = self.timm_model.forward_features(photos)
        return (self.timm_model.forward_head(features, pre_logits=True),)

    def get_layer_depth(
        self, param_name: str, prefix: str = ''
    ) -> tuple[int, int]:
        """The group of a parameter and the number of groups.

        The classifier belongs to the last group, as in timm.
        """
        groups = self._layers
        count = max(groups.values()) + 1
        name = param_name.removeprefix(f'{prefix}{PREFIX}')
        return groups.get(name, count - 1), count

    @cached_property
    def _layers(self) -> dict[str, int]:
        return self._groups(coarse=False)

    def train(self, mode: bool = True) -> 'TimmBackbone':
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        groups = self._groups(coarse=True)
        for name, parameter in self.timm_model.named_parameters():
            if groups[name] <= self.frozen_stages:
                parameter.requires_grad = False
        for module in self.timm_model.modules():
            weights = list(module.parameters())
            # Without statistics of batches and without dropout.
            if weights and not any(w.requires_grad for w in weights):
                module.eval()

    def _groups(self, coarse: bool) -> dict[str, int]:
        """The group of each parameter by timm's own rules."""
        from timm.models import group_parameters

        network = self.timm_model
        if not hasattr(network, 'group_matcher'):
            raise UserError(
                f'{type(network).__name__} of timm has no parameter groups: '
                'train it without frozen_stages and layer decay'
            )
        return group_parameters(
            network, network.group_matcher(coarse=coarse), reverse=True
        )

    def convert_checkpoint(self, state: dict[str, Tensor]) -> dict:
        """Rename tensors with timm's names to the keys of this module.

        timm's own filter, where a network has one, brings position embeddings
        to the image size; ValueError where the tensors are those of another
        network. The classifier is dropped.
        """
        network = self.timm_model
        state = {key.removeprefix(PREFIX): state[key] for key in state}
        module = sys.modules[type(network).__module__]
        if convert := getattr(module, 'checkpoint_filter_fn', None):
            try:
                state = convert(state, network)
            except Exception as error:
                reason = printable(f'{type(error).__name__}: {error}', 200)
                raise ValueError(
                    f"timm's filter for {type(network).__name__} fails: "
                    f'{reason}'
                ) from error
        classifier = network.pretrained_cfg.get('classifier') or ()
        if isinstance(classifier, str):
            classifier = (classifier,)
        dropped = tuple(f'{name}.' for name in classifier)
        state = {k: v for k, v in state.items() if not k.startswith(dropped)}
        accept_plain(network, state)
        return {PREFIX + key: tensor for key, tensor in state.items()}
