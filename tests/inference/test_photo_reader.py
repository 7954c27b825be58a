"""A photo has the same pixels in training, test, prepare and inference."""

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers import tool
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import DefaultScope
from photo_kinds import noise, photo_kinds
from PIL import Image

from flower_mm import Classifier
from flower_mm.datasets.flower_dataset import FlowerDataset
from flower_mm.decoding import FORMATS, ORIENTATION, BadPhotoError
from flower_mm.engine.runner import FlowerRunner
from flower_mm.errors import UserError
from flower_mm.inference.photo_reader import PhotoReader, Source, name_of
from flower_mm.serve import limits
from flower_mm.serve.decoders import decoder_of
from flower_mm.serve.prediction_json import classify

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 4), np.uint8)
SMOOTH = Image.fromarray(NOISE[::12, ::12, :3]).resize((640, 480))
LOAD = {'type': 'LoadImageFromFile'}
STEPS = {
    'as ours': {},
    'floats': {'to_float32': True},
    'not turned': {'color_type': 'color_ignore_orientation'},
    'grey': {'color_type': 'grayscale'},
    'as it is': {'color_type': 'unchanged'},
    'by Pillow': {'imdecode_backend': 'pillow'},
}


@pytest.fixture(scope='module')
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of all kinds that tools/prepare_dataset.py did not make."""
    root = tmp_path_factory.mktemp('by_hand')
    for name in ('a', 'b'):
        (root / 'train' / name).mkdir(parents=True)
    for number, kind in enumerate(photo_kinds()):
        (root / 'train' / 'a' / f'{number:02}_{kind.name}').write_bytes(
            kind.data
        )
    for seed in range(3):
        Image.fromarray(noise(3, seed + 9)).save(
            root / 'train' / 'b' / f'{seed}.jpg'
        )
    (root / 'classes.txt').write_text('a\nb\n')
    lines = [
        f'{name}/{photo.name} {label}\n'
        for label, name in enumerate('ab')
        for photo in sorted((root / 'train' / name).iterdir())
    ]
    (root / 'train.txt').write_text(''.join(lines))
    return root


@pytest.fixture(scope='module')
def prepared(
    by_hand: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The files that prepare made of them, by the stem of their names."""
    out = tmp_path_factory.mktemp('prepared') / 'dataset'
    tool(
        *('prepare_dataset', by_hand / 'train', '--out', out),
        *('--on-conflict', 'keep'),
    )
    return {file.stem: file for file in out.rglob('a/*.*')}


def pixels_of(root: Path, load: dict, **kwargs) -> dict[str, np.ndarray]:
    """What a dataset gives of each photo of class a."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = FlowerDataset(str(root), pipeline=[load], **kwargs)
    found = {Path(x['img_path']).stem: x['img'] for x in dataset}
    return {name: pixels for name, pixels in found.items() if '_' in name}


@pytest.mark.parametrize('options', STEPS.values(), ids=STEPS)
def test_all_read_the_same_pixels(options, by_hand, prepared):
    load = LOAD | options
    reader = PhotoReader(LoadImageFromFile(**options))
    train, test = (
        pixels_of(by_hand, load, test_mode=mode) for mode in (False, True)
    )
    assert len(train) == len(list(photo_kinds())) >= 33
    differ = []
    for photo in sorted((by_hand / 'train' / 'a').iterdir()):
        wanted = reader.read(photo)
        of_prepared = reader.read(prepared[photo.stem])
        for found in (train[photo.stem], test[photo.stem], of_prepared):
            assert found.dtype == wanted.dtype
            if not np.array_equal(found, wanted):
                differ.append(photo.name)
    assert differ == []


def test_datasets_of_mmpretrain_read_the_same_pixels(by_hand):
    reader = PhotoReader(LoadImageFromFile())
    dataset = {
        'type': 'CustomDataset',
        'data_root': str(by_hand),
        'ann_file': 'train.txt',
        'data_prefix': 'train',
        'pipeline': [LOAD],
    }
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = FlowerRunner.build_dataloader(
            {
                'dataset': {
                    'type': 'RepeatDataset',
                    'times': 2,
                    'dataset': {
                        'type': 'ConcatDataset',
                        'datasets': [dataset],
                    },
                },
                'batch_size': 1,
                'num_workers': 0,
                'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            }
        )
    for number in range(len(loader.dataset) // 2):
        photo = loader.dataset[number]
        assert np.array_equal(photo['img'], reader.read(photo['img_path']))


def test_inference_equals_test(by_hand, plain_run, monkeypatch):
    classifier = Classifier(plain_run / 'best.pth', device='cpu')
    monkeypatch.setattr(limits, 'FORMATS', FORMATS)
    decoder = decoder_of(classifier.model.first)
    decoder.start()
    pipeline = [
        LOAD,
        {'type': 'ResizeEdge', 'scale': 32, 'edge': 'short'},
        {'type': 'CenterCrop', 'crop_size': 32},
        {'type': 'PackInputs'},
    ]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = FlowerDataset(
            str(by_hand), pipeline=pipeline, test_mode=True
        )
    for number, seen in enumerate(dataset):
        photo = Path(dataset.get_data_info(number)['img_path'])
        mine = classifier.prepared(photo)
        assert np.array_equal(mine['inputs'], seen['inputs']), photo.name
        pixels = decoder.decode(photo.read_bytes())
        served = classify(classifier, photo.name, pixels, with_heat_map=False)
        assert served['probabilities'] == classifier(photo).probabilities
    decoder.close()


def test_a_photo_is_the_same_from_a_path_bytes_pillow_or_an_array(tmp_path):
    reader = PhotoReader(LoadImageFromFile())
    image = Image.fromarray(NOISE[..., :3])
    path = tmp_path / 'photo.png'
    image.save(path)
    wanted = NOISE[..., 2::-1]
    for photo in (
        path,
        str(path),
        Source(str(path), path.read_bytes),
        path.read_bytes(),
        image,
        NOISE[..., :3],
        np.asfortranarray(NOISE[..., :3]),
        Image.open(path),
    ):
        assert np.array_equal(reader.read(photo), wanted)
    assert name_of(path) == name_of(Source(str(path), bytes)) == str(path)
    assert name_of(image) == name_of(b'') == ''


def test_pictures_in_memory_are_brought_upright_and_laid_on_white():
    reader = PhotoReader(LoadImageFromFile())
    image = Image.fromarray(NOISE[..., :3])
    image.getexif()[ORIENTATION] = 3
    turned = NOISE[::-1, ::-1, 2::-1]
    assert np.array_equal(reader.read(image), turned)
    nothing = np.zeros((40, 40, 4), np.uint8)
    assert (reader.read(nothing) == 255).all()
    grey = reader.read(NOISE[..., 0])
    assert grey.shape == (48, 64, 3)
    assert np.array_equal(grey[..., 1], NOISE[..., 0])


def photo_bytes(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


JPEG = photo_bytes(SMOOTH, 'JPEG')


def with_wrong_sums(png: bytes) -> bytes:
    """Which OpenCV refuses, and Pillow does not look at."""
    start = png.index(b'IDAT')
    sums = start + 4 + int.from_bytes(png[start - 4 : start], 'big')
    return png[:sums] + b'????' + png[sums + 4 :]


@pytest.mark.parametrize(
    ('photo', 'why'),
    [
        (b'', 'not a photo'),
        (b'hello, this is no photo', 'not a photo'),
        (JPEG[: len(JPEG) // 2], 'truncated'),
        (Image.open(BytesIO(JPEG[: len(JPEG) // 2])), 'truncated'),
        (photo_bytes(SMOOTH, 'PNG')[:-4000], 'truncated|damaged'),
        (with_wrong_sums(photo_bytes(SMOOTH, 'PNG')), 'damaged'),
        (Image.new('RGB', (31, 500)), 'too small'),
        (Image.new('RGB', (32, 7000)), 'too narrow'),
        (photo_bytes(Image.new('L', (7000, 32)), 'PNG'), 'too narrow'),
        (Image.new('F', (40, 40)), '32-bit'),
        (np.zeros((40, 40, 3)), r'40 x 40 x 3 in float64'),
        (np.zeros((40, 40, 2), np.uint8), '40 x 40 x 2 in uint8'),
        (np.zeros((2, 40, 40, 3), np.uint8), '2 x 40 x 40 x 3 in uint8'),
        (np.zeros((0, 40, 3), np.uint8), 'too small|damaged|invalid array'),
        (np.zeros((), np.uint8), 'invalid array'),
        ('x' * 5000, 'cannot be opened'),
        ('gone.jpg', r'cannot be opened \(No such file'),
        ('a\0b', 'damaged|cannot be opened'),
        ('.', 'a folder'),
    ],
)
def test_invalid_photos(photo, why):
    reader = PhotoReader(LoadImageFromFile())
    with pytest.raises(BadPhotoError, match=why):
        reader.read(photo)


@pytest.mark.parametrize('photo', [None, 3, [JPEG], iter([])])
def test_invalid_types(photo):
    with pytest.raises(TypeError, match=r'expected a path.*each'):
        PhotoReader(LoadImageFromFile()).read(photo)


class OwnLoader(LoadImageFromFile):
    """Training calls its transform, which needs a file."""


def test_other_first_steps():
    with pytest.raises(UserError, match='got int'):
        PhotoReader(3)
    with pytest.raises(UserError, match='got OwnLoader'):
        PhotoReader(OwnLoader())
    with pytest.raises(UserError, match='imdecode_backend'):
        PhotoReader(LoadImageFromFile(imdecode_backend='tifffile'))


def test_name_of_any_bytes(tmp_path):
    strange = tmp_path / 'été \n花'.encode().decode('latin-1')
    strange.write_bytes(JPEG)
    plain = tmp_path / 'plain.jpg'
    shutil.copy(strange, plain)
    reader = PhotoReader(LoadImageFromFile())
    assert np.array_equal(reader.read(strange), reader.read(plain))
