"""What a model says of one photo, as JSON has it."""

import base64
from contextlib import suppress

import numpy as np

from flower_mm.inference.classifier import Classifier, Prediction
from flower_mm.inference.heat_map import heat_maps, overlay, thumbnail

SIDE = 256  # pixels of the two pictures, for sharp screens


def answer(
    classifier: Classifier, name: str, pixels: np.ndarray, heat: bool
) -> dict:
    """The classes of a decoded photo.

    With `heat`, two pictures as well: what the model saw of the photo, and
    where it looked, if its backbone has such a map.
    """
    prepared = classifier.model.prepared(pixels)
    (scores,) = classifier.model.scores([prepared]).tolist()
    found = Prediction(
        name, dict(zip(classifier.classes, scores, strict=True))
    )
    answered = {
        'name': name,
        'label': found.label,
        'confidence': found.confidence,
        'probabilities': found.probabilities,
    }
    if heat:
        answered |= _pictures(classifier, prepared, found.label)
    return answered


def _pictures(classifier: Classifier, prepared: dict, label: str) -> dict:
    model = classifier.model
    seen = model.seen(prepared)
    found = {'seen': _uri(thumbnail(seen, SIDE)), 'heat': None}
    # A backbone may have no map of the photo to be asked.
    with suppress(ValueError):
        index = classifier.classes.index(label)
        (heat,) = heat_maps(model.model, [prepared], [index])
        found['heat'] = _uri(overlay(seen, heat, SIDE))
    return found


def _uri(jpeg: bytes) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
