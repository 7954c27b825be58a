"""TensorBoard events in the groups `train/` and `val/`."""

from mmengine.visualization import TensorboardVisBackend

from flower_mm.registry import VISBACKENDS


@VISBACKENDS.register_module()
class GroupedTensorboardVisBackend(TensorboardVisBackend):
    """MMEngine's backend with the phase in front of each name."""

    def add_scalars(
        self,
        scalar_dict: dict,
        step: int = 0,
        file_path: str | None = None,
        **kwargs,
    ) -> None:
        # Training logs its learning rates, validation does not.
        phase = 'train' if 'lr' in scalar_dict else 'val'
        grouped = {f'{phase}/{key}': v for key, v in scalar_dict.items()}
        super().add_scalars(grouped, step, file_path, **kwargs)
