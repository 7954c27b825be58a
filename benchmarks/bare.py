"""The loop that ours is measured against: a model, a batch, nothing else.

Model, precision and layout are those of a run of ours; the batch is in memory
and the same each time. `python -m benchmarks.throughput` starts it.
"""

import argparse
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample

from benchmarks.stamps import now, write_rate
from flower_mm.config import apply_dataset, read_config, use_data_root
from flower_mm.engine.distributed import use_device
from flower_mm.engine.precision import choose_precision
from flower_mm.models.memory_format import use_channels_last
from flower_mm.process_resources import keep_memory
from flower_mm.registry import MODELS

PIXELS = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='one of ours')
    parser.add_argument('phase', choices=['train', 'test'])
    parser.add_argument('--data-root', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--skip', type=int, required=True)
    parser.add_argument('--count', type=int, required=True)
    parser.add_argument('--save', help='where to save the random weights')
    args = parser.parse_args()
    cfg = read_config(args.config)
    use_data_root(cfg, args.data_root)
    device = use_device('auto', 'none')
    choose_precision(cfg, device)
    apply_dataset(cfg)
    keep_memory()
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if args.save:
        torch.save({'state_dict': model.state_dict()}, args.save)
    model = use_channels_last(model.to(device))
    size = cfg[f'{args.phase}_dataloader'].batch_size
    low = cfg.optim_wrapper.type == 'Bf16OptimWrapper'
    precision = torch.autocast(device, torch.bfloat16, enabled=low)
    step = (_training if args.phase == 'train' else _inference)(
        cfg, model, _batch(size, device), precision
    )
    for _ in range(args.skip):
        step()
    start = now()
    for _ in range(args.count):
        step()
    seconds = now() - start
    write_rate(
        args.out,
        size * args.count,
        seconds,
        precision='bfloat16' if low else 'float32',
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name() if device == 'cuda' else device,
    )


def _batch(size: int, device: str) -> torch.Tensor:
    batch = torch.randn(size, 3, PIXELS, PIXELS, device=device)
    return batch.to(memory_format=torch.channels_last)


def _training(
    cfg: Config,
    model: torch.nn.Module,
    batch: torch.Tensor,
    precision: torch.autocast,
) -> Callable[[], None]:
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=cfg.optim_wrapper.optimizer.lr
    )
    classes = model.head.num_classes
    labels = [
        DataSample().set_gt_label(i % classes).to(batch.device)
        for i in range(len(batch))
    ]

    def step() -> None:
        with precision:
            losses = model(batch, labels, mode='loss')
        losses['loss'].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _inference(
    cfg: Config,
    model: torch.nn.Module,
    batch: torch.Tensor,
    precision: torch.autocast,
) -> Callable[[], None]:
    model.eval()

    def step() -> None:
        with torch.inference_mode(), precision:
            model(batch).softmax(1).cpu()

    return step


if __name__ == '__main__':
    main()
