"""Make a dataset for training from a folder (or zip, tar) of photos.

flower-mm prepare my_photos.zip --out data/mine
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import megabytes
from flower_mm.cli.demo import DATASET as DEMO
from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.packaged_configs import config_path, typed_config

CONFIG = 'resnet50'  # for the first training
DEFAULT_OUT = Path('data/flower_dataset')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        'Near-duplicates belong to the same split, unless the photos come '
        'with a split.\nPhotos keep their split when others are added: run '
        'this again with the same --out\nand --overwrite.'
    )
    parser.add_argument(
        'photos',
        type=Path,
        nargs='?',
        metavar='PHOTOS',
        help='folder, zip or tar of photos: class folders, split folders and '
        'other formats of docs/photos.md',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DATASET',
        help=f'folder of the dataset; by default {DEFAULT_OUT}',
    )
    table = parser.add_argument_group('tables of photos: CSV, TSV, Parquet')
    table.add_argument(
        '--images',
        default='',
        metavar='FOLDER',
        help='folder of the photos; by default that of the table',
    )
    table.add_argument(
        '--path-column',
        default='',
        metavar='COLUMN',
        help='column of the paths; by default one named path, file, '
        'filename, image, id or similarly',
    )
    table.add_argument(
        '--label-column',
        default='',
        metavar='COLUMN',
        help='column of the classes; by default one named label, class, '
        'category, target or similarly',
    )
    parser.add_argument(
        '--val',
        type=float,
        default=0.2,
        metavar='SHARE',
        help='share of each class for validation, at least one photo; by '
        'default %(default)s',
    )
    parser.add_argument(
        '--test',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='share of each class for the test split, at least one photo '
        'unless 0; by default %(default)s',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        metavar='N',
        help='random seed of the split; by default %(default)s',
    )
    parser.add_argument(
        '--how',
        choices=('copy', 'link', 'none'),
        default='copy',
        help='copy the photos, hard-link them, or refer to them in PHOTOS; '
        'by default %(default)s',
    )
    parser.add_argument(
        '--shards',
        type=megabytes,
        default=0,
        metavar='SIZE',
        help='write the photos into tars of this size, such as 512MB, in the '
        'format of WebDataset; for very many photos, and for --data https://… '
        'and s3://…',
    )
    parser.add_argument(
        '--on-bad',
        choices=('stop', 'skip'),
        default='stop',
        help='when a file is unusable: stop and write nothing, or continue '
        'without it; by default %(default)s',
    )
    parser.add_argument(
        '--on-conflict',
        choices=('drop', 'keep'),
        default='drop',
        help='identical photos in two classes: drop or keep them; '
        'near-duplicates are kept and listed; by default %(default)s',
    )
    parser.add_argument(
        '--fix-leaks',
        action='store_true',
        help='move near-duplicates that are in two splits of a published '
        'split to train; by default they are kept and counted',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace the dataset at --out; its photos keep their split when '
        '--val, --test and --seed are the same',
    )
    parser.add_argument(
        '--splits-from',
        type=Path,
        metavar='DATASET',
        help='keep the splits that photos have in this dataset',
    )
    parser.add_argument(
        '--apply-corrections',
        action='store_true',
        help='PHOTOS is a dataset with corrections of `review`: make its next '
        'version at --out. Photos keep their split; --val, --test, --seed '
        'and --on-conflict are those of PHOTOS',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='only check that the dataset at --out (or PHOTOS) is complete '
        'and unchanged',
    )
    parser.add_argument(
        '--trust',
        action='store_true',
        help='only record that the dataset at --out (or PHOTOS), made by '
        'somebody else, may refer to photos outside its folder',
    )


def run(args: argparse.Namespace) -> None:
    root = args.out or args.photos or DEFAULT_OUT
    if args.check:
        from flower_mm.prepare.verify_dataset import check

        check(root)
    elif args.trust:
        from flower_mm.trust import trust

        trust(root)
        print(f'{root} is trusted: its photos may lie outside its folder')
    elif args.photos is None:
        raise UserError(
            'PHOTOS is missing: expected a folder with one folder per class, '
            'or another format of "Your photos" (docs/photos.md)'
        )
    else:
        _prepare(args)


def _prepare(args: argparse.Namespace) -> None:
    from flower_mm.prepare.prepare_dataset import Options, prepare

    if args.apply_corrections and not args.out:
        new = args.photos.with_name(f'{args.photos.name}_corrected')
        raise UserError(
            'the corrected dataset needs a folder of its own: --out is '
            'missing.\nName one: '
            + command(
                'prepare', args.photos, '--apply-corrections', '--out', new
            )
        )
    if args.apply_corrections:
        _refuse_without_effect(args)
    out = args.out or DEFAULT_OUT
    ready = prepare(
        args.photos,
        out,
        Options(
            val=args.val,
            test=args.test,
            seed=args.seed,
            how=args.how,
            shards=args.shards,
            on_bad=args.on_bad,
            on_conflict=args.on_conflict,
            fix_leaks=args.fix_leaks,
            path_column=args.path_column,
            label_column=args.label_column,
            images=args.images,
        ),
        overwrite=args.overwrite,
        splits_from=args.splits_from,
        corrects=args.apply_corrections,
    )
    if ready:
        print('next:', *_next_commands(out), sep='\n  ')


def _refuse_without_effect(args: argparse.Namespace) -> None:
    """Refuse options that contradict the dataset that is corrected."""
    for name in ('splits_from', 'images', 'path_column', 'label_column'):
        if getattr(args, name):
            flag = f'--{name.replace("_", "-")}'
            raise UserError(
                f'{flag} cannot be used with --apply-corrections: photos, '
                f'classes and splits are those of {args.photos}'
            )


def _next_commands(out: Path) -> list[str]:
    """Return the commands that lead to the first training."""
    if out == DEMO:
        return [command('train', typed_config(config_path('demo')))]
    config = typed_config(config_path(CONFIG))
    return [command('train', config, '--data', out)]
