"""What a model says of one photo, as JSON has it."""

import base64
from contextlib import suppress
from io import BytesIO

from PIL import Image

from flower_mm.decoding import FORMATS, BadPhotoError
from flower_mm.deploy.classifier import Classifier, Prediction
from flower_mm.deploy.serve import limits
from flower_mm.deploy.serve.upload import Upload
from flower_mm.report.heat import heat_maps, overlay, thumbnail

SIDE = 256  # pixels of the two pictures, for sharp screens


def answer(classifier: Classifier, photo: Upload, heat: bool) -> dict:
    """Its classes, or why it cannot be used.

    With `heat`, two pictures as well: what the model saw of the photo, and
    where it looked, if it has a map that tells.
    """
    try:
        if not photo.data:
            raise BadPhotoError('empty file')
        _check_pixels(photo.data)
        prepared = classifier.prepared(photo.data)
    except BadPhotoError as error:
        return {'name': photo.name, 'error': str(error)}
    except MemoryError:
        return {'name': photo.name, 'error': 'too large for the memory'}
    (scores,) = classifier.model.scores([prepared]).tolist()
    found = Prediction(
        photo.name, dict(zip(classifier.classes, scores, strict=True))
    )
    answered = {
        'name': photo.name,
        'label': found.label,
        'confidence': found.confidence,
        'probabilities': found.probabilities,
    }
    if heat:
        answered |= _pictures(classifier, prepared, found.label)
    return answered


def _check_pixels(data: bytes) -> None:
    """Refuse by its header what would take long to decode."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width = height = limits.PIXELS
    except Exception:
        return  # whoever decodes it says what is wrong
    if width * height > limits.PIXELS:
        raise BadPhotoError(
            f'more than {limits.PIXELS // 10**6} million pixels'
        )


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
