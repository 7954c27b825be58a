"""Pretrain the demo backbone on drawings of kinds that are not the five."""

import hashlib
import io
import json
import time
from pathlib import Path

import mmpretrain.models  # noqa: F401  (fills the registry)
import numpy as np
import torch
from mmpretrain.registry import MODELS
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from flower_mm.console import track
from flower_mm.demo.others import OTHERS
from flower_mm.demo.write import write_demo
from flower_mm.files import replacing

BACKBONE = {
    'type': 'ResNet',
    'depth': 18,
    'base_channels': 16,
    'stem_channels': 16,
    'num_stages': 4,
    'out_indices': (3,),
    'style': 'pytorch',
}
FEATURES = 128
# The mean and deviation that MMPretrain's configs take for ImageNet.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
STORED, SIDE = 144, 112  # pixels: in memory, into the network
STUDIES, PHOTOS = 100, 140  # drawings of each kind
HELD_OUT = 7  # every seventh photo is held out
# From photos alone the network learns next to nothing in its first epochs:
# what is in them is small, and half hidden. So it begins with the studies.
STUDY_EPOCHS = 5
BATCH, RATE, DECAY = 64, 0.1, 5e-4


class Drawings:
    """All drawings in memory, squeezed to squares, with their true shapes."""

    def __init__(self, paths: list[Path], labels: list[int]) -> None:
        self.labels = torch.tensor(labels)
        pictures, shapes = [], []
        for path in track(paths, len(paths), 'reading'):
            with Image.open(path, formats=('JPEG',)) as picture:
                shapes.append(picture.size)
                square = picture.resize((STORED, STORED))
            pictures.append(torch.from_numpy(np.array(square)))
        self.pictures = torch.stack(pictures).permute(0, 3, 1, 2)
        self.shapes = torch.tensor(shapes, dtype=torch.float32)

    def crops(self, at: Tensor, side: Tensor, frame: Tensor) -> Tensor:
        """Square cut-outs; `side` in pixels and `frame` (turn, stretch, place)
        are one row for each picture.
        """
        turn, stretch, x, y = frame.unbind(1)
        width, height = self.shapes[at].unbind(1)
        wide, high = side * stretch, side / stretch
        cos, sin = turn.cos(), turn.sin()
        # Places run from -1 to 1; a cut-out stays inside where it fits.
        x = x * (1 - wide / width).clamp(min=0)
        y = y * (1 - high / height).clamp(min=0)
        theta = torch.stack(
            [
                torch.stack([wide * cos, -high * sin, x * width], 1)
                / width[:, None],
                torch.stack([wide * sin, high * cos, y * height], 1)
                / height[:, None],
            ],
            1,
        )
        grid = functional.affine_grid(
            theta, (len(at), 3, SIDE, SIDE), align_corners=False
        )
        return functional.grid_sample(
            self.pictures[at].float(),
            grid,
            padding_mode='reflection',
            align_corners=False,
        )


class Network(nn.Module):
    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.backbone = MODELS.build(BACKBONE)
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out')
        self.head = nn.Linear(FEATURES, kinds)

    def forward(self, pictures: Tensor) -> Tensor:
        (features,) = self.backbone(pictures)
        return self.head(features.mean((2, 3)))


def pretrain(out: Path, drawings: Path, epochs: int, seed: int) -> dict:
    """Train, write the weights to `out` and what is known of them beside it.

    `drawings` is the folder that the drawings are in or will be put in.
    """
    kinds = tuple(OTHERS)
    write_demo(drawings / 'studies', STUDIES, seed, kinds, close=True)
    write_demo(drawings / 'photos', PHOTOS, seed, kinds)
    paths = sorted((drawings / 'studies').glob('*/*'))
    studies = torch.arange(len(paths))
    paths += sorted((drawings / 'photos').glob('*/*'))
    photos = torch.arange(len(studies), len(paths))
    known = photos[torch.arange(len(photos)) % HELD_OUT > 0]
    held_out = photos[::HELD_OUT]
    both = torch.cat([studies, known])
    torch.manual_seed(seed)
    # The layers are small: on busy cores a step takes two threads, which wait
    # for each other, four times as long as one alone (0.80 s and 0.22 s).
    torch.set_num_threads(1)
    data = Drawings(paths, [kinds.index(path.parent.name) for path in paths])
    net = Network(len(kinds)).to(memory_format=torch.channels_last)
    start = time.monotonic()
    lessons = [studies] * STUDY_EPOCHS + [both] * (epochs - STUDY_EPOCHS)
    _train(net, data, lessons)
    seconds = round(time.monotonic() - start)
    facts = {
        'backbone': BACKBONE,
        'mean': MEAN,
        'std': STD,
        'kinds': kinds,
        'drawings': len(both),
        'epochs': epochs,
        'seed': seed,
        'seconds': seconds,
        'held_out': len(held_out),
        'held_out_top1': round(_top1(net, data, held_out), 2),
    }
    _save(net.backbone, out, facts)
    return facts


def _train(net: Network, data: Drawings, lessons: list[Tensor]) -> None:
    """One epoch for each lesson, which says what drawings it takes."""
    steps = [len(lesson) // BATCH for lesson in lessons]
    optimizer = torch.optim.SGD(
        net.parameters(), RATE, 0.9, weight_decay=DECAY, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, sum(steps), pct_start=0.15
    )
    net.train()
    for epoch, (lesson, many) in enumerate(
        zip(lessons, steps, strict=True), 1
    ):
        order = lesson[torch.randperm(len(lesson))]
        batches = order[: many * BATCH].view(many, BATCH)
        losses = []
        for at in track(batches, many, f'epoch {epoch} of {len(lessons)}'):
            scores = net(_normal(_vary(data, at)))
            loss = functional.cross_entropy(
                scores, data.labels[at], label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f'epoch {epoch}: loss {np.mean(losses):.3f}', flush=True)


def _vary(data: Drawings, at: Tensor) -> Tensor:
    """Another cut, turn, mirror image and light of each drawing."""
    many = len(at)

    def between(low: float, high: float) -> Tensor:
        return torch.empty(many).uniform_(low, high)

    area = data.shapes[at].prod(1)
    side = (area * between(0.5, 1.1)).sqrt()
    stretch = between(-0.2, 0.2).exp()
    frame = torch.stack(
        [between(-0.4, 0.4), stretch, between(-1, 1), between(-1, 1)], 1
    )
    crops = data.crops(at, side, frame)
    mirrored = torch.rand(many) < 0.5
    crops[mirrored] = crops[mirrored].flip(3)
    gain = torch.empty(many, 3, 1, 1).uniform_(0.85, 1.15)
    contrast = between(0.7, 1.3)[:, None, None, None]
    middle = crops.mean((1, 2, 3), keepdim=True)
    crops = (crops - middle) * contrast + middle * between(0.7, 1.3)[
        :, None, None, None
    ]
    return (crops * gain).clamp(0, 255)


def _normal(pictures: Tensor) -> Tensor:
    mean = torch.tensor(MEAN)[:, None, None]
    std = torch.tensor(STD)[:, None, None]
    return ((pictures - mean) / std).to(memory_format=torch.channels_last)


@torch.no_grad()
def _top1(net: Network, data: Drawings, which: Tensor) -> float:
    """Percent right of these drawings, whole and unturned."""
    net.eval()
    right = 0
    for at in which.split(256):
        side = data.shapes[at].amin(1)
        frame = torch.tensor([[0.0, 1, 0, 0]]).expand(len(at), 4)
        scores = net(_normal(data.crops(at, side, frame)))
        right += (scores.argmax(1) == data.labels[at]).sum().item()
    return 100 * right / len(which)


def _save(backbone: nn.Module, out: Path, facts: dict) -> None:
    """Write the weights as MMPretrain names them, and a JSON beside them."""
    # Half precision for the kernels; the norms are few and stay exact.
    state = {
        f'backbone.{name}': (
            tensor.half() if tensor.ndim > 1 else tensor
        ).contiguous()
        for name, tensor in backbone.state_dict().items()
    }
    file = io.BytesIO()
    torch.save({'state_dict': state, 'meta': facts}, file)
    data = file.getvalue()
    with replacing(out) as weights:
        weights.write(data)
    about = {
        'file': out.name,
        'bytes': len(data),
        'sha256': hashlib.sha256(data).hexdigest(),
        'command': (
            'python tools/pretrain_demo_backbone.py '
            f'--epochs {facts["epochs"]} --seed {facts["seed"]}'
        ),
        **facts,
    }
    with replacing(out.with_suffix('.json'), 'w') as note:
        note.write(json.dumps(about, indent=2) + '\n')
