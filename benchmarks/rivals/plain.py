"""A plain PyTorch loop, as people write it: torchvision and nothing else."""

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
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import mobilenet_v2

TRAIN = transforms.Compose([
    transforms.RandomResizedCrop(SIZE),
    transforms.RandomHorizontalFlip(),
    transforms.ColorJitter(0.2, 0.2, 0.2, 0.1),
    transforms.RandomRotation(30),
    transforms.RandomAffine(0, translate=(0.1, 0.1)),
    transforms.ToTensor(),
    transforms.Normalize(MEAN, STD),
])  # fmt: skip
VAL = transforms.Compose([
    transforms.Resize(256),
    transforms.CenterCrop(SIZE),
    transforms.ToTensor(),
    transforms.Normalize(MEAN, STD),
])  # fmt: skip


class Photos(Dataset):
    def __init__(self, listed, transform) -> None:
        self.listed = listed
        self.transform = transform

    def __len__(self) -> int:
        return len(self.listed)

    def __getitem__(self, index):
        path, label = self.listed[index]
        return self.transform(Image.open(path).convert('RGB')), label


def loader(listed, transform, shuffle: bool) -> DataLoader:
    return DataLoader(
        Photos(listed, transform), 32, shuffle=shuffle, num_workers=WORKERS
    )


def main() -> None:
    options = parser(__doc__)
    options.add_argument('--recipe', choices=('adam', 'adamw'), required=True)
    args = options.parse_args()
    torch.manual_seed(args.seed)
    model = mobilenet_v2()
    load_backbone(model, args.weights)
    model.classifier[1] = nn.Linear(1280, classes(args.data_root))
    train = loader(photos(args.data_root, 'train'), TRAIN, shuffle=True)
    val = loader(photos(args.data_root, 'val'), VAL, shuffle=False)
    if args.recipe == 'adam':
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        falling = optim.lr_scheduler.StepLR(optimizer, 7)
    else:
        optimizer = optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.02)
        falling = optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(1, args.epochs + 1):
        model.train()
        for inputs, labels in train:
            optimizer.zero_grad()
            loss_of(model(inputs), labels).backward()
            optimizer.step()
        falling.step()
        tell(epoch, top1(model, val))


if __name__ == '__main__':
    main()
