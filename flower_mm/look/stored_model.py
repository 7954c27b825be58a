"""The model whose features are used: of a run, or pretrained weights."""

from collections.abc import Sequence

from flower_mm.commands import command
from flower_mm.errors import UserError, message_of
from flower_mm.inference.features import FeatureModel
from flower_mm.weights.candidates import find_candidates

SUGGESTED = 'mobilenet_v2'  # small, and its features are good


class NoWeightsError(UserError):
    """Pretrained weights are not stored on this machine."""


def stored_model(device: str, name: str | None = None) -> FeatureModel:
    """Load pretrained weights that are stored, by default the smallest.

    Args:
        device: As in `--device`.
        name: A name of `weights --list`, timm/NAME, or a file of weights.
    """
    if name:
        (candidate,) = find_candidates([name])
        if candidate.path() is None:
            raise NoWeightsError(
                f'the weights {name} are not stored.\n'
                f'Download them: {command("weights", name)}'
            )
        return FeatureModel.of_backbone(candidate, device)
    faults = []
    for candidate in find_candidates(None):
        if candidate.path() is None:
            continue
        try:
            return FeatureModel.of_backbone(candidate, device)
        except UserError as error:
            faults.append(message_of(error).splitlines()[0])
    raise NoWeightsError(
        '\n'.join(
            [
                *faults,
                'pretrained weights are not stored.\n'
                f'Download some: {command("weights", SUGGESTED)}, or name a '
                'training: --run RUN',
            ]
        )
    )


def model_of(
    run: str | None, weights: str | None, device: str, imports: Sequence[str]
) -> FeatureModel:
    """Load the model of a run if one is named, else pretrained weights."""
    if run and weights:
        raise UserError('use either --run or --weights')
    if run:
        return FeatureModel.of_run(run, device, imports)
    return stored_model(device, weights)
