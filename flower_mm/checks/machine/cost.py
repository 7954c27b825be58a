"""What a photo costs the model, in arithmetic and in memory.

Counted in one step forward of shapes alone. Attention is taken to keep its
table of all pairs, which on a CPU it does not: a quarter more for ViT-B/16.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from flower_mm.checks.building.assemble import PHOTOS, forward, shapes_of
from flower_mm.checks.case import Case
from flower_mm.checks.finding import Finding, note, warn
from flower_mm.checks.machine.limits import cores, neighbours
from flower_mm.errors import UserError

# What a core does in a second, in float32: sums and products, and bytes of
# what layers hand on, each moved some six times. Seen on an AMD EPYC, where
# it tells ResNet-18, ResNet-50 and MobileNetV2 within a quarter, in bfloat16
# too, with three times the arithmetic and half the bytes.
ARITHMETIC, MOVING = 120e9, 5e9
MOVED = 6
LONG = 1800.0  # seconds on a CPU from which a GPU is worth a word
SURELY = 1.5  # times the memory there is; less may still fit


def check(case: Case) -> Iterator[Finding]:
    if not case.thorough:
        return
    try:
        operations, held = _one_photo(case.model, case.size)
    except UserError:
        raise
    except Exception:
        return  # such a model is not for shapes alone
    kind = str(case.cfg.optim_wrapper.get('type', '')).rpartition('.')[2]
    mixed = kind in ('Bf16OptimWrapper', 'AmpOptimWrapper')
    if case.device == 'cpu':
        yield from _long(case, operations, held, mixed)
    yield from _memory(case, held / (2 if mixed else 1))


def _one_photo(model: nn.Module, size: tuple[int, int]) -> tuple[float, float]:
    """Sums and products of a step forward, and bytes kept for the way back."""
    done = []
    kept: dict[int, torch.Tensor] = {}
    shapes = shapes_of(model)

    def number_of(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage()._cdata

    own = set(map(number_of, shapes.values()))

    def count(layer: nn.Module, _: tuple, out: torch.Tensor) -> None:
        # Each number that comes out is a sum over the weights of a channel.
        done.append(2 * out.numel() * layer.weight[0].numel())

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # Several layers may keep the same one, which has to live on, or its
        # number is given to another.
        if number_of(tensor) not in own:
            kept[number_of(tensor)] = tensor
        return tensor

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            forward(model, shapes, (3, *size))
    finally:
        for hook in hooks:
            hook.remove()
    held = sum(t.numel() * t.element_size() for t in kept.values())
    return sum(done) / PHOTOS, held / PHOTOS


def _long(
    case: Case, operations: float, held: float, mixed: bool
) -> Iterator[Finding]:
    photos = len(case.splits['train_dataloader'].photos)
    epochs = case.cfg.train_cfg.get('max_epochs', 1)
    # The way back costs twice the way forward.
    seconds = 3 * operations / ARITHMETIC / (3 if mixed else 1)
    seconds += MOVED * held / MOVING / (2 if mixed else 1)
    seconds /= cores()
    if seconds * photos * epochs > LONG:
        yield note(
            f'Without a GPU this model learns from about {1 / seconds:.1f} '
            f'photos a second on {cores()} cores: '
            f'{seconds * photos / 60:.0f} minutes an epoch, '
            f'{seconds * photos * epochs / 3600:.1f} hours in all.',
            '--device',
            'a GPU, --amp, a smaller model (configs/flower/'
            'mobilenet_v2_flower.py) or fewer epochs; --time measures it',
        )


def _memory(case: Case, held: float) -> Iterator[Finding]:
    batch = case.cfg.train_dataloader.get('batch_size', 1)
    weights = sum(w.numel() * 4 for w in case.model.parameters())
    # With their gradients, and two states of an optimizer like Adam.
    processes = neighbours(case.cfg.launcher)
    there = _there(case.device, processes)
    if case.device == 'cuda':
        # They are given the GPUs in turn.
        processes = -(-processes // max(1, torch.cuda.device_count()))
    need = (batch * held + 4 * weights) * processes
    if there and need > SURELY * there:
        parts = 1 << int(need / there).bit_length()
        yield warn(
            f'A batch of {batch} photos takes about {need / 1e9:.1f} GB, and '
            f'{there / 1e9:.1f} GB of memory are there.',
            'train_dataloader.batch_size',
            f'--accumulate {parts}: the same batch in {parts} parts',
        )


def _there(device: str, processes: int) -> int | None:
    """Bytes of the machine's memory, or of the smallest GPU that is used."""
    if device == 'cuda':
        used = [torch.cuda.current_device()]
        if processes > 1:
            used = range(min(processes, torch.cuda.device_count()))
        return min(
            torch.cuda.get_device_properties(gpu).total_memory for gpu in used
        )
    limits = []
    for name in ('memory.max', 'memory/memory.limit_in_bytes'):
        path = Path('/sys/fs/cgroup') / name
        if path.is_file() and path.read_text().strip().isdecimal():
            limits.append(int(path.read_text()))
    meminfo = Path('/proc/meminfo')
    if meminfo.is_file():
        first = meminfo.read_text(encoding='utf-8').splitlines()[0]
        limits.append(int(first.split()[1]) * 1024)  # MemTotal, in kB
    return min(limits, default=None)
