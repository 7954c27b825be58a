"""fastai's fine_tune at its own defaults, one frozen epoch first.

Crop, augmentation and batch size are those of its book's second chapter. As
is its way, the last photos of an epoch that fill no batch are left out.
"""

import pandas
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Normalize,
    RandomResizedCrop,
    accuracy,
    aug_transforms,
    set_seed,
    vision_learner,
)
from rival import (
    MEAN,
    SIZE,
    STD,
    WORKERS,
    load_backbone,
    parser,
    photos,
    tell,
)


class Tell(Callback):
    order = 60  # behind the Recorder, which has the accuracy at 50

    def before_fit(self) -> None:
        self.told = getattr(self, 'told', 0)

    def after_epoch(self) -> None:
        self.told += 1
        tell(self.told, 100 * self.learn.recorder.values[-1][-1])


def main() -> None:
    args = parser(__doc__).parse_args()
    if args.epochs < 2:
        raise SystemExit('one frozen epoch and at least one more')
    set_seed(args.seed)
    table = pandas.DataFrame([
        (str(path), label, split == 'val')
        for split in ('train', 'val')
        for path, label in photos(args.data_root, split)
    ], columns=['photo', 'label', 'val'])  # fmt: skip
    data = ImageDataLoaders.from_df(
        table,
        path='/',
        fn_col='photo',
        label_col='label',
        valid_col='val',
        item_tfms=RandomResizedCrop(SIZE, min_scale=0.5),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(MEAN, STD)],
        bs=64,
        num_workers=WORKERS,
        device='cpu',
    )
    # A string means timm's model: fastai knows no MobileNetV2 of its own.
    learner = vision_learner(
        data,
        'mobilenetv2_100',
        pretrained=False,
        metrics=accuracy,
        cbs=Tell(),
    )
    load_backbone(learner.model[0], args.weights)
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(args.epochs - 1)


if __name__ == '__main__':
    main()
