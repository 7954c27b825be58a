"""Say what is on photos: python predict_onnx.py best.onnx PHOTO...

Needs onnxruntime, numpy and Pillow, and nothing else.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

# For other formats, such as EPS, Pillow would start other programs.
FORMATS = (
    'JPEG', 'PNG', 'BMP', 'DIB', 'WEBP', 'TIFF', 'GIF', 'AVIF',
    'JPEG2000', 'PPM',
)  # fmt: skip


def main() -> None:
    model = onnxruntime.InferenceSession(
        sys.argv[1], providers=['CPUExecutionProvider']
    )
    facts = model.get_modelmeta().custom_metadata_map
    classes = json.loads(facts['classes'])
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    for name in sys.argv[2:]:
        with Image.open(name, formats=formats) as photo:
            upright = ImageOps.exif_transpose(photo).convert('RGB')
        photos = np.asarray(upright)[None]  # (1, height, width, 3), uint8
        probabilities = model.run(None, {'photos': photos})[0][0]
        best = probabilities.argmax()
        print(f'{name}: {classes[best]} {100 * probabilities[best]:.2f} %')


if __name__ == '__main__':
    main()
