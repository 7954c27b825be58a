"""Whole batches are augmented as single photos are."""

import mmcv
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as pillow
from mmcv.transforms import CenterCrop, LoadImageFromFile, RandomFlip, Resize
from mmpretrain.datasets.transforms import (
    AutoAugment,
    ColorJitter,
    PackInputs,
    RandomErasing,
    RandomResizedCrop,
    ResizeEdge,
)
from PIL import Image

from flower_mm.datasets.batched.draws import Draws
from flower_mm.datasets.batched.look import boxes
from flower_mm.datasets.batched.plan import CannotError, Plan
from flower_mm.datasets.batched.view import View, read
from flower_mm.datasets.transforms import GrowingCrop, QuickJitter

SHAPES = [(60, 90), (101, 47), (64, 64), (30, 200)]
RATIOS = {'crop_ratio_range': (0.3, 0.9), 'aspect_ratio_range': (0.8, 1.3)}


class Photos:
    """Noise: no two pixels next to each other are alike."""

    def __init__(self, shapes: list[tuple[int, int]] = SHAPES) -> None:
        rng = np.random.default_rng(0)
        self.each = [
            rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
            for shape in shapes
        ]
        flat = np.concatenate([photo.reshape(-1, 3) for photo in self.each])
        self.pixels = torch.from_numpy(flat)
        self.shape = torch.tensor(shapes)
        ends = self.shape.prod(1).cumsum(0)
        self.first = ends - self.shape.prod(1)

    def read(self, view: View, size: list[int]) -> np.ndarray:
        found = read(self.pixels, self.first, self.shape, view, size)
        return found.numpy()


def plan(*steps: object) -> Plan:
    return Plan([LoadImageFromFile(), *steps, PackInputs()])


def draws(count: int, seed: int = 0, epoch: int = 0) -> Draws:
    return Draws(seed, epoch, torch.arange(count))


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How many grey levels the pixel has that differs most."""
    assert one.shape == other.shape
    return np.abs(one.astype(float) - other.astype(float)).max()


# --- draws ------------------------------------------------------------------


def test_a_draw_is_a_function_of_seed_epoch_and_index():
    whole = draws(50, 3, 2).uniform(1, 10, 4)
    order = torch.randperm(50)
    for part in order.split(7):
        assert torch.equal(Draws(3, 2, part).uniform(1, 10, 4), whole[part])
    others = [
        draws(50, 4, 2).uniform(1, 10, 4),
        draws(50, 3, 1).uniform(1, 10, 4),
        draws(50, 2, 3).uniform(1, 10, 4),
        draws(50, 3, 2).uniform(2, 10, 4),
    ]
    for other in others:
        assert (other != whole).float().mean() > 0.99


def test_draws_are_evenly_spread_and_independent():
    found = draws(400, 1, 5).uniform(3, 60).double()
    assert 0 <= found.min() < 0.001
    assert 0.999 < found.max() < 1
    counts = torch.histc(found, 20)
    # Of 24000, 1200 in each twentieth; 34 is the standard deviation.
    assert (counts - 1200).abs().max() < 150
    neighbours = [
        (found[1:], found[:-1]),  # of photos
        (found[:, 1:], found[:, :-1]),  # of draws
        (found, draws(400, 1, 6).uniform(3, 60)),  # of epochs
        (found, draws(400, 1, 5).uniform(4, 60)),  # of steps
    ]
    for one, other in neighbours:
        both = torch.stack([one.flatten(), other.flatten().double()])
        assert both.corrcoef()[0, 1].abs() < 0.04


# --- what is seen -----------------------------------------------------------


def test_the_same_box_has_the_same_pixels():
    photos, count = Photos(), len(SHAPES)
    step = RandomResizedCrop((37, 53), **RATIOS)
    view = plan(step).view(photos.shape, draws(count), 0.0)
    found = photos.read(view, [37, 53])
    first, size = boxes(
        photos.shape.float(),
        draws(count).uniform(1, 10, 4),
        *RATIOS.values(),
    )
    for photo, pixels, begin, end in zip(
        photos.each, found, first.int(), (first + size).int(), strict=True
    ):
        part = photo[begin[0] : end[0], begin[1] : end[1]]
        assert apart(mmcv.imresize(part, (53, 37)), pixels) <= 1


@pytest.mark.parametrize(
    'steps',
    [
        [ResizeEdge(40), CenterCrop(32)],
        [ResizeEdge(50, edge='width'), CenterCrop((40, 7))],
        [ResizeEdge(300, edge='long'), CenterCrop((21, 33))],
        [CenterCrop((30, 27))],
        [Resize((48, 31))],
        [CenterCrop((40, 25)), Resize((90, 70))],
        [Resize((90, 70)), RandomFlip(1.0, 'vertical')],
        [RandomFlip(1.0, 'horizontal'), CenterCrop((31, 30))],
        [RandomFlip(1.0, 'diagonal'), ResizeEdge(36), CenterCrop(35)],
    ],
)
def test_what_is_not_random_is_as_ever(steps):
    photos = Photos()
    expected = []
    for photo in photos.each:
        data = {'img': photo}
        for step in steps:
            data = step(data)
        expected.append(data['img'])
    through = plan(*steps)
    through.require_one_size(photos.shape)
    size = through.size(photos.shape[:1], 0.0)
    view = through.view(photos.shape, draws(len(SHAPES)), 0.0)
    assert apart(np.stack(expected), photos.read(view, size)) <= 1


def test_boxes_are_as_the_ordinary_ones():
    """Where they lie, how large they are, and how often none fits."""
    np.random.seed(0)
    for height, width in [(60, 80), (40, 41), (10, 90)]:
        step = GrowingCrop(scales=[8], crop_ratio_range=(0.2, 1.0))
        photo = np.zeros((height, width, 3), np.uint8)
        expected = np.array(
            [step.rand_crop_params(photo) for _ in range(3000)]
        )
        count = 3000
        first, size = boxes(
            torch.tensor([[height, width]]).expand(count, 2).float(),
            draws(count).uniform(1, 10, 4),
            step.crop_ratio_range,
            step.aspect_ratio_range,
        )
        found = torch.cat([first, size], 1).numpy()
        assert (found[:, :2] >= 0).all()
        assert (found[:, :2] + found[:, 2:] <= (height, width)).all()
        for measure in (np.mean, np.std):
            one, other = measure(expected, 0), measure(found, 0)
            assert (np.abs(one - other) < 0.05 * max(height, width)).all()
        areas = [boxes[:, 2:].prod(1).mean() for boxes in (expected, found)]
        assert abs(areas[0] / areas[1] - 1) < 0.03
        aspect = found[:, 3] / found[:, 2]
        # Pixels are whole.
        assert (aspect > 0.75 - 0.1).all()
        assert (aspect < 1.33 + 0.1).all()


def test_a_crop_grows_with_the_run():
    growing = plan(GrowingCrop(scales=[16, 24, 32]))
    sizes = torch.tensor([[60, 80]])
    found = [growing.size(sizes, epoch / 6) for epoch in range(6)]
    assert found == [[n, n] for n in (16, 16, 24, 24, 32, 32)]


@pytest.mark.parametrize(
    ('chance', 'direction', 'expected'),
    [
        (0.5, 'horizontal', (0.5, 0.0)),
        (0.3, 'vertical', (0.0, 0.3)),
        (0.6, ['horizontal', 'vertical', 'diagonal'], (0.4, 0.4)),
        ([0.1, 0.5], ['horizontal', 'vertical'], (0.1, 0.5)),
    ],
)
def test_as_many_are_mirrored_as_asked_for(chance, direction, expected):
    sizes = torch.tensor([[20, 30]]).expand(4000, 2)
    view = plan(RandomFlip(chance, direction)).view(sizes, draws(4000), 0.0)
    share = (view.scale < 0).double().mean(0)
    assert abs(share[1] - expected[0]) < 0.03
    assert abs(share[0] - expected[1]) < 0.03


# --- what is changed --------------------------------------------------------


def some(count: int = 3, size: int = 40) -> torch.Tensor:
    found = torch.from_numpy(np.stack(Photos([(size, size)] * count).each))
    found[:, :5] = found[:, :5, :, :1]  # greys
    found[:, 5] = 0
    return found.float()


def rgb(photo: torch.Tensor) -> Image.Image:
    return Image.fromarray(photo.byte().numpy()[..., ::-1].copy())


@pytest.mark.parametrize('factor', [0.0, 0.61, 0.93, 1.0, 1.37, 3.0])
@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        ('brightness', pillow.adjust_brightness),
        ('contrast', pillow.adjust_contrast),
        ('saturation', pillow.adjust_saturation),
    ],
)
def test_jitter_is_that_of_pillow(kind, expected, factor):
    photos = some()
    step = ColorJitter(**{kind: (factor, factor)})
    found = plan(step).changed(photos, draws(3))
    for one, other in zip(photos, found, strict=True):
        wanted = np.array(expected(rgb(one), factor))[..., ::-1]
        assert apart(wanted, other.numpy()) <= 1


@pytest.mark.parametrize('factor', [-0.5, -0.2, -0.01, 0.07, 0.4])
def test_hue_is_that_of_pillow(factor):
    photos = some()
    step = ColorJitter(hue=(factor, factor))
    found = plan(step).changed(photos, draws(3)).numpy()
    wanted = np.stack([pillow.adjust_hue(rgb(one), factor) for one in photos])
    difference = np.abs(wanted[..., ::-1].astype(float) - found)
    # The wheel has 256 steps; one in a thousand is rounded to the next one.
    assert difference.max() <= 6
    assert (difference > 1).mean() < 0.005


def test_each_photo_is_jittered_in_an_order_of_its_own():
    """Every photo is one of the six orders' outcome, and all six occur."""
    photos = some(1).expand(60, -1, -1, -1).clone()
    by = {'brightness': 1.6, 'contrast': 0.5, 'saturation': 1.8}
    step = ColorJitter(**{kind: (f, f) for kind, f in by.items()})
    found = plan(step).changed(photos, draws(60))
    kinds = len({photo.numpy().tobytes() for photo in found})
    assert kinds == 6
    orders = [
        (a, b, c) for a in by for b in by for c in by if len({a, b, c}) == 3
    ]
    outcomes = []
    for order in orders:
        photo = photos[:1]
        for kind in order:
            one = ColorJitter(**{kind: (by[kind], by[kind])})
            photo = plan(one).changed(photo, draws(1))
        outcomes.append(photo[0])
    for photo in found:
        assert any(torch.equal(photo, outcome) for outcome in outcomes)


def test_a_quick_jitter_is_the_same_here():
    photos, by = some(), {'brightness': 0.4, 'saturation': 0.3}
    found, expected = (
        plan(kind(**by)).changed(photos, draws(3))
        for kind in (QuickJitter, ColorJitter)
    )
    assert torch.equal(found, expected)


def test_factors_fill_their_range():
    photos = torch.full((2000, 1, 1, 3), 100.0)
    found = plan(ColorJitter(brightness=0.4)).changed(photos, draws(2000))
    assert 60 <= found.min() <= 61
    assert 139 <= found.max() <= 140
    assert 98 < found.mean() < 102


def test_a_stretch_is_erased():
    photos = torch.zeros(1000, 40, 50, 3)
    step = RandomErasing(0.3, 0.1, 0.2, (0.5, 2.0), fill_color=(7, 8, 9))
    found = plan(step).changed(photos, draws(1000))
    erased = (found == torch.tensor([7.0, 8.0, 9.0])).all(-1)
    assert ((found == 0).all(-1) | erased).all()
    share = erased.flatten(1).double().mean(1)
    hit = share > 0
    assert 0.25 < hit.double().mean() < 0.35
    assert share[hit].min() > 0.08
    assert share[hit].max() < 0.22
    for photo in erased[hit]:  # one rectangle each
        rows, columns = photo.any(1), photo.any(0)
        assert torch.equal(photo, rows[:, None] & columns)
        assert rows.diff().sum() <= 2
    # All over the photo but, as MMPretrain has it, its last lines.
    assert erased.any(0).float().mean() > 0.9


def test_noise_is_erased_with():
    photos = torch.full((6, 40, 40, 3), 300.0)
    kwargs = {'erase_prob': 1.0, 'max_area_ratio': 1.0, 'mode': 'rand'}
    found = plan(RandomErasing(**kwargs)).changed(photos, draws(6))
    noise = found[found < 300]
    assert 0 <= noise.min() < 5
    assert 250 < noise.max() <= 255
    assert 115 < noise.mean() < 140
    step = RandomErasing(**kwargs, fill_color=(120, 90, 60), fill_std=10)
    found = plan(step).changed(photos, draws(6))
    pixels = found[(found < 300).all(-1)]
    mean = torch.tensor([120.0, 90.0, 60.0])
    assert (pixels.mean(0) - mean).abs().max() < 2
    assert (pixels.std(0) - 10).abs().max() < 1


# --- what cannot be ---------------------------------------------------------

POLICY = [[{'type': 'Invert', 'prob': 1.0}]]


@pytest.mark.parametrize(
    'steps',
    [
        [AutoAugment(POLICY)],
        [RandomResizedCrop(8, interpolation='bicubic')],
        [RandomResizedCrop(8, backend='pillow')],
        [Resize(scale_factor=0.5)],
        [Resize((8, 8), keep_ratio=True)],
        [CenterCrop(8, auto_pad=True)],
        [ColorJitter(0.1), RandomResizedCrop(8)],
        [PackInputs()],
    ],
)
def test_another_step_is_named(steps):
    name = type(steps[-1]).__name__
    with pytest.raises(CannotError, match=name) as error:
        plan(*steps)
    assert 'on_device=False' in str(error.value)


def test_loading_and_packing_are_the_ordinary_ones():
    with pytest.raises(CannotError, match='LoadImageFromFile'):
        Plan([LoadImageFromFile(to_float32=True), PackInputs()])
    with pytest.raises(CannotError, match='PackInputs'):
        Plan([LoadImageFromFile(), PackInputs(algorithm_keys=['mask'])])
    with pytest.raises(CannotError, match='LoadImageFromFile'):
        Plan([LoadImageFromFile()])


@pytest.mark.parametrize(
    'steps', [[], [ResizeEdge(30)], [ResizeEdge(30), CenterCrop(31)]]
)
def test_photos_of_different_sizes_make_no_batch(steps):
    with pytest.raises(CannotError, match='different sizes'):
        plan(*steps).require_one_size(torch.tensor(SHAPES))


def test_a_picture_may_be_mirrored_when_it_is_changed():
    photos = Photos([(20, 30)] * 8)
    through = plan(ColorJitter(0.3), RandomFlip(0.5))
    view = through.view(photos.shape, draws(8), 0.0)
    found = photos.read(view, [20, 30])
    mirrored = [
        apart(photo[:, ::-1], pixels) == 0
        for photo, pixels in zip(photos.each, found, strict=True)
    ]
    assert mirrored == (view.scale[:, 1] < 0).tolist()
    assert {True, False} == set(mirrored)
