"""Classify photos: python predict_onnx.py best.onnx PHOTO...

Needs onnxruntime, numpy and Pillow. A photo that cannot be read gets a line on
standard error, and the exit code is then 2.
"""

import json
import sys

import onnxruntime

from flower_mm.decoding import BadPhotoError, read_rgb


def main() -> int:
    model = onnxruntime.InferenceSession(
        sys.argv[1], providers=['CPUExecutionProvider']
    )
    facts = model.get_modelmeta().custom_metadata_map
    classes = json.loads(facts['classes'])
    unknown_above = float(facts.get('unknown_above', 'inf'))
    code = 0
    for name in sys.argv[2:]:
        try:
            photos = read_rgb(name)[None]  # (1, height, width, 3), uint8
        except BadPhotoError as error:
            print(f'{name}: {error}', file=sys.stderr)
            code = 2
            continue
        outputs = model.run(None, {'photos': photos})
        probabilities = outputs[0][0]
        best = probabilities.argmax()
        is_unknown = len(outputs) > 1 and outputs[1][0] > unknown_above
        label = f'unknown: {classes[best]}' if is_unknown else classes[best]
        print(f'{name}: {label} {100 * probabilities[best]:.2f} %')
    return code


if __name__ == '__main__':
    sys.exit(main())
