"""Say what is on photos: python predict_onnx.py best.onnx PHOTO...

Needs onnxruntime, numpy and Pillow, and nothing else.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main() -> None:
    model = onnxruntime.InferenceSession(
        sys.argv[1], providers=['CPUExecutionProvider']
    )
    facts = model.get_modelmeta().custom_metadata_map
    classes = json.loads(facts['classes'])
    for name in sys.argv[2:]:
        with Image.open(name) as photo:
            upright = ImageOps.exif_transpose(photo).convert('RGB')
        photos = np.asarray(upright)[None]  # (1, height, width, 3), uint8
        probabilities = model.run(None, {'photos': photos})[0][0]
        best = probabilities.argmax()
        print(f'{name}: {classes[best]} {100 * probabilities[best]:.2f} %')


if __name__ == '__main__':
    main()
