"""timm's MobileNetV2 in timm's loader, optimizer, schedule and average.

The loop follows timm's own train.py, which its package leaves out; --amp and
channels_last are among its flags. Of the model and its average the better one
counts.
"""

from itertools import starmap

import timm
import torch
from PIL import Image
from rival import (
    MEAN,
    SIZE,
    STD,
    WORKERS,
    classes,
    load_backbone,
    parser,
    photos,
    tell,
    top1,
)
from timm.data import create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3
from torch import Tensor
from torch.utils.data import Dataset


class Photos(Dataset):
    transform = None  # create_loader sets it

    def __init__(self, listed) -> None:
        self.listed = listed

    def __len__(self) -> int:
        return len(self.listed)

    def __getitem__(self, index):
        path, label = self.listed[index]
        return self.transform(Image.open(path).convert('RGB')), label


def loader(listed, train: bool, **more):
    return create_loader(
        Photos(listed),
        input_size=(3, SIZE, SIZE),
        batch_size=32,
        is_training=train,
        interpolation='bicubic',
        mean=MEAN,
        std=STD,
        num_workers=WORKERS,
        device=torch.device('cpu'),
        use_prefetcher=False,
        **more,
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--amp', action='store_true', help='in bfloat16')
    args = options.parse_args()
    torch.manual_seed(args.seed)
    model = timm.create_model(
        'mobilenetv2_100', num_classes=classes(args.data_root)
    )
    load_backbone(model, args.weights)
    model.to(memory_format=torch.channels_last)
    precision = torch.autocast('cpu', torch.bfloat16, enabled=args.amp)
    train = loader(photos(args.data_root, 'train'), True, scale=(0.35, 1.0))
    val = loader(photos(args.data_root, 'val'), False, crop_pct=0.875)
    optimizer = create_optimizer_v2(model, 'adamw', lr=3e-4, weight_decay=0.02)
    schedule, epochs = create_scheduler_v2(
        optimizer,
        'cosine',
        num_epochs=args.epochs,
        warmup_epochs=1,
        warmup_lr=3e-5,
        step_on_epochs=False,
        updates_per_epoch=len(train),
    )
    schedule.step_update(0)
    average = ModelEmaV3(model, decay=0.99, use_warmup=True)
    loss_of = LabelSmoothingCrossEntropy(0.1)
    step = 0
    for epoch in range(1, epochs + 1):
        model.train()
        for inputs, labels in starmap(_channels_last, train):
            optimizer.zero_grad()
            with precision:
                loss = loss_of(model(inputs), labels)
            loss.backward()
            optimizer.step()
            step += 1
            average.update(model, step=step)
            schedule.step_update(step)
        with precision:
            reached = [
                top1(asked, starmap(_channels_last, val))
                for asked in (model, average.module)
            ]
        tell(epoch, max(reached))


def _channels_last(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return inputs.to(memory_format=torch.channels_last), labels


if __name__ == '__main__':
    main()
