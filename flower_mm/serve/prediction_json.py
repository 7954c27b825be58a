"""Classify a photo for the page: the prediction as JSON, with pictures."""

import base64
from contextlib import suppress

import numpy as np

from flower_mm.inference.classifier import Classifier
from flower_mm.inference.heat_map import heat_maps, overlay, thumbnail

SIDE = 256  # pixels of the two pictures, for sharp screens


def classify(
    classifier: Classifier, name: str, pixels: np.ndarray, with_heat_map: bool
) -> dict:
    """Return the prediction for a decoded photo.

    `with_heat_map` adds two pictures: the input of the model and, if its
    backbone supports it, the heat map.
    """
    prepared = classifier.model.prepared(pixels)
    (scores,), unlike = classifier.scores([prepared])
    prediction = classifier.prediction(
        name, scores, None if unlike is None else float(unlike[0])
    )
    result = {
        'name': name,
        'label': prediction.label,
        'confidence': prediction.confidence,
        'probabilities': prediction.probabilities,
    }
    if point := classifier.working_point:
        result['is_sure'] = prediction.confidence >= point.threshold
    if prediction.unlikeness is not None:
        result['unknown'] = prediction.unknown
        result['unlikeness'] = prediction.unlikeness
    if prediction.classes:
        result['classes'] = prediction.classes
    if with_heat_map:
        result |= _pictures(classifier, prepared, prediction.label)
    return result


def _pictures(classifier: Classifier, prepared: dict, label: str) -> dict:
    model = classifier.model
    seen = model.seen(prepared)
    pictures = {'seen': _data_uri(thumbnail(seen, SIDE)), 'heat': None}
    with suppress(ValueError):  # a backbone without a spatial feature map
        index = classifier.classes.index(label)
        (heat,) = heat_maps(model.model, [prepared], [index])
        pictures['heat'] = _data_uri(overlay(seen, heat, SIDE))
    return pictures


def _data_uri(jpeg: bytes) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'
