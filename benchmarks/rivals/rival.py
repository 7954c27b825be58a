"""What the rivals' loops share: command line, photos, weights, answers.

For their own environments too: it imports nothing of this project. What a
script or its library prints goes to stderr; stdout has the answers alone.
"""

import argparse
import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

_answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)

SIZE = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
WORKERS = 2


def parser(text: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument('--data-root', type=Path, required=True)
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('--epochs', type=int, required=True)
    parser.add_argument('--seed', type=int, default=0)
    return parser


def photos(root: Path, split: str) -> list[tuple[Path, int]]:
    """Paths and classes of one list of a prepared dataset."""
    lines = (root / f'{split}.txt').read_text('utf-8').splitlines()
    return [
        (root / split / path, int(label))
        for path, label in (line.rsplit(' ', 1) for line in lines)
    ]


def classes(root: Path) -> int:
    return len((root / 'classes.txt').read_text('utf-8').splitlines())


def load_backbone(model: nn.Module, path: Path) -> None:
    """Put MMPretrain's weights into another library's MobileNetV2.

    All list their layers from the photo to the head, so the order tells which
    tensor is which; a shape that differs would show that it does not.
    """
    read = torch.load(path, map_location='cpu', weights_only=True)
    state = read.get('state_dict', read)
    given = [t for k, t in state.items() if k.startswith('backbone.')]
    own = list(model.state_dict().items())[: len(given)]
    if [t.shape for t in given] != [t.shape for _, t in own]:
        raise SystemExit(f'{path} is not of this MobileNetV2')
    weights = {k: t for (k, _), t in zip(own, given, strict=True)}
    model.load_state_dict(weights, strict=False)


def tell(epoch: int, top1: float) -> None:
    """A line for whoever started this."""
    print(
        json.dumps({'epoch': epoch, 'top1': top1}), file=_answers, flush=True
    )


@torch.no_grad()
def top1(model: nn.Module, batches) -> float:
    """Percent right."""
    model.eval()
    right: list[Tensor] = [
        model(inputs).argmax(1) == labels for inputs, labels in batches
    ]
    return 100 * torch.cat(right).float().mean().item()
