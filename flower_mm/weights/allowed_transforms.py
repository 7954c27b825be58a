"""The transforms that a file may ask for, with the arguments of each.

Only those that make sense on the way from a photo to a model. None opens a
file, runs other transforms or looks at other keys than the image's. Sizes are
those of photos for a network: 4096 pixels at most.
"""

from flower_mm.weights.allowed_values import (
    Check,
    choice,
    either,
    integer,
    is_flag,
    is_name,
    number,
    optional,
    some,
    table,
)

LARGEST_SIDE = 4096  # pixels
# With the ratio of sides that decoding.MAX_RATIO allows, 2048 is 2.5 GB.
LARGEST_SHORT_SIDE = 2048

_side = integer(1, LARGEST_SIDE)
_short = integer(1, LARGEST_SHORT_SIDE)
_sides = either(_side, some(_side, 2, 2))
_margin = integer(0, LARGEST_SIDE)
_pixel = number(-1000, 1000)
_share = number(0, 1)
_shares = some(_share, 2, 2)
_ratio = some(number(0.01, 100), 2, 2)
_strength = either(number(0, 10), some(number(-1, 10), 2, 2))
_backend = choice('cv2', 'pillow')
_interpolation = choice(
    'nearest', 'bilinear', 'bicubic', 'area', 'lanczos', 'box', 'hamming'
)
_tv_interpolation = choice('nearest', 'bilinear', 'bicubic', 'box', 'lanczos')
_padding_mode = choice('constant', 'edge', 'reflect', 'symmetric')
_colour = some(_pixel, 1, 4)
_deviations = some(number(1e-3, 1000), 1, 4)
_pad = {
    'size': optional(some(_side, 2, 2)),
    'size_divisor': optional(_side),
    'pad_to_square': is_flag,
    'pad_val': either(
        _pixel,
        _colour,
        table(img=either(_pixel, _colour), seg=_pixel),
    ),
    'padding_mode': _padding_mode,
}
_jitter = {
    'brightness': _strength,
    'contrast': _strength,
    'saturation': _strength,
    'hue': either(number(0, 0.5), some(number(-0.5, 0.5), 2, 2)),
}
_random_resized_crop = {
    'crop_ratio_range': _shares,
    'aspect_ratio_range': _ratio,
    'max_attempts': integer(1, 100),
    'interpolation': _interpolation,
    'backend': _backend,
}
_numpy_dtype = choice(None, 'uint8', 'float32')

LOAD, PACK = 'LoadImageFromFile', 'PackInputs'
# These change the size without a bound of their own.
GROWING = ('Pad', 'torchvision/Pad')
# MMCV checks for lists here, and for tuples in `Resize` and `Pad`.
TAKE_LISTS = ('RandomFlip',)

TRANSFORMS: dict[str, dict[str, Check]] = {
    LOAD: {
        'to_float32': is_flag,
        'color_type': choice('color', 'grayscale'),
        'imdecode_backend': _backend,
        'ignore_empty': choice(False),
    },
    PACK: {
        'input_key': choice('img'),
        'algorithm_keys': some(is_name, 0, 0),
        'meta_keys': some(is_name, 0, 20),
    },
    # --- sizes ---------------------------------------------------------------
    'ResizeEdge': {
        'scale': _short,
        'edge': choice('short', 'long', 'width', 'height'),
        'backend': _backend,
        'interpolation': _interpolation,
    },
    'Resize': {
        'scale': optional(_sides),
        'scale_factor': optional(
            either(number(0.01, 1), some(number(0.01, 1), 2, 2))
        ),
        'keep_ratio': is_flag,
        'clip_object_border': is_flag,
        'backend': _backend,
        'interpolation': _interpolation,
    },
    'CenterCrop': {
        'crop_size': _sides,
        'auto_pad': is_flag,
        'pad_cfg': table(type=choice('Pad'), **_pad),
        'clip_object_border': is_flag,
    },
    'EfficientNetCenterCrop': {
        'crop_size': _side,
        'crop_padding': integer(0, LARGEST_SIDE),
        'interpolation': _interpolation,
        'backend': _backend,
    },
    'Pad': _pad,
    # --- values --------------------------------------------------------------
    'Normalize': {
        'mean': some(_pixel, 3, 3),
        'std': some(number(1e-3, 1000), 3, 3),
        'to_rgb': is_flag,
    },
    'NumpyToPIL': {'to_rgb': is_flag},
    'ToPIL': {'to_rgb': is_flag},
    'PILToNumpy': {'to_bgr': is_flag, 'dtype': _numpy_dtype},
    'ToNumpy': {'to_bgr': is_flag, 'dtype': _numpy_dtype},
    # --- random ones: the seed of each photo is fixed ------------------------
    'RandomFlip': {
        'prob': either(_share, some(_share, 1, 3)),
        'direction': either(
            choice('horizontal', 'vertical', 'diagonal'),
            some(choice('horizontal', 'vertical', 'diagonal'), 1, 3),
        ),
    },
    'RandomCrop': {
        'crop_size': _sides,
        'padding': optional(either(_margin, some(_margin, 2, 4))),
        'pad_if_needed': is_flag,
        'pad_val': either(_pixel, _colour),
        'padding_mode': _padding_mode,
    },
    'RandomResizedCrop': {'scale': _sides, **_random_resized_crop},
    'GrowingCrop': {'scales': some(_side, 1, 100), **_random_resized_crop},
    'ColorJitter': {**_jitter, 'backend': _backend},
    'QuickJitter': {**_jitter, 'backend': _backend},
    # --- torchvision's -------------------------------------------------------
    'torchvision/Resize': {
        'size': either(_short, some(_side, 2, 2)),
        'interpolation': _tv_interpolation,
        'max_size': optional(_side),
        'antialias': optional(is_flag),
    },
    'torchvision/CenterCrop': {'size': _sides},
    'torchvision/Pad': {
        'padding': either(_margin, some(_margin, 1, 4)),
        'fill': either(integer(0, 255), some(integer(0, 255), 1, 4)),
        'padding_mode': _padding_mode,
    },
    'torchvision/Grayscale': {'num_output_channels': choice(1, 3)},
    'torchvision/ToTensor': {},
    'torchvision/PILToTensor': {},
    'torchvision/ConvertImageDtype': {'dtype': choice('uint8', 'float32')},
    'torchvision/Normalize': {
        'mean': _colour,
        'std': _deviations,
        'inplace': is_flag,
    },
    'torchvision/RandomHorizontalFlip': {'p': _share},
    'torchvision/RandomVerticalFlip': {'p': _share},
    'torchvision/RandomResizedCrop': {
        'size': _sides,
        'scale': _shares,
        'ratio': _ratio,
        'interpolation': _tv_interpolation,
        'antialias': optional(is_flag),
    },
    'torchvision/RandomRotation': {
        'degrees': either(number(0, 360), some(number(-360, 360), 2, 2)),
        'interpolation': _tv_interpolation,
        'expand': is_flag,
        'fill': either(integer(0, 255), some(integer(0, 255), 1, 4)),
    },
    'torchvision/ColorJitter': _jitter,
}
# Whose classes these names stand for; a module may register another one.
MODULES = (
    'flower_mm.datasets',
    'mmcv.transforms',
    'mmpretrain.datasets.transforms',
    'torchvision.transforms',
)
