"""What a search tries: its configs, parameters, photos and trials."""

import argparse
import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from optuna.distributions import distribution_to_json

from flower_mm.annotations import list_of
from flower_mm.config import datasets, resolve, use_data_root
from flower_mm.errors import UserError
from flower_mm.files import replacing
from flower_mm.layout import DatasetDir
from flower_mm.sweep.plan_trials import (
    ParseTraining,
    as_file,
    check_arguments,
    digest,
    read_for,
    require_same_photos,
    training_flags,
    with_flags,
)
from flower_mm.sweep.search_parameters import SearchConfig, numbers_layers
from flower_mm.sweep.search_photos import ValidationHalves, split_validation
from flower_mm.sweep.search_rules import GROUP, propose
from flower_mm.sweep.search_space import (
    CONFIG,
    Space,
    default_space,
    own_values,
    read_space,
    settings_of,
)
from flower_mm.sweep.search_study import study_name, trial_folder
from flower_mm.sweep.trial import Trial

RECORD = 'search.json'
PIPELINES = ('train_pipeline', 'test_pipeline')


@dataclass(frozen=True)
class SearchPlan:
    """Everything that decides about the trials, except for their results."""

    configs: dict[str, SearchConfig]
    paths: dict[str, str]
    space: Space
    photos: ValidationHalves
    root: Path
    flags: tuple[str, ...]
    seed: int
    record: dict[str, Any]  # search.json
    folder: Path

    @property
    def group(self) -> int:
        """The number of trials in a group, see search_rules."""
        return self.record['group']

    def save(self) -> None:
        """Write search.json, which refuses another search later."""
        if not (path := self.folder / RECORD).is_file():
            with replacing(path, 'w') as file:
                json.dump(self.record, file, indent=1)

    def params(self, index: int, points: list) -> dict[str, Any]:
        """Return the parameters of a trial; the first are the configs' own."""
        if index < len(self.configs):
            config = list(self.configs.values())[index]
            if values := own_values(self.space, config):
                return values
        return propose(self.space, self.seed, points, index, self.group)

    def _loaders_of_val(self) -> tuple[str, ...]:
        """Return the loaders of val: without a test split, also test's."""
        has_test = (self.root / DatasetDir.list_of('test')).is_file()
        loaders = ('val_dataloader', 'test_dataloader')
        return loaders[:1] if has_test else loaders

    def config_of(self, params: dict[str, Any]) -> SearchConfig:
        name = params.get(CONFIG) or next(iter(self.configs))
        return self.configs[name]

    def config(self, params: dict[str, Any]) -> Config:
        """Return the config of a trial, without the choice of photos."""
        config = self.config_of(params)
        cfg = copy.deepcopy(config.cfg)
        try:
            cfg.merge_from_dict(copy.deepcopy(settings_of(config, params)))
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f'the parameters {params} do not fit {config.name}: {error}'
            ) from error
        for name in PIPELINES:
            # Variables of the file, which are not read any more.
            cfg.pop(name, None)
        return cfg

    def trial(
        self, index: int, params: dict, seed: int | None = None
    ) -> Trial:
        """Return the training of a trial, or its repetition with a seed."""
        cfg = self.config(params)
        for dataset in datasets(cfg, self._loaders_of_val()):
            dataset.indices = self.photos.deciding
        # A pass over photos that no trial needs.
        cfg.default_hooks.known_photos = None
        folder = trial_folder(self.folder, index)
        name = f'{folder.name}.py'
        used = self.seed if seed is None else seed
        text = as_file(cfg, name)
        cfg.work_dir = str(folder)
        return Trial(
            config=Path(name),
            seed=used,
            epochs=resolve(cfg).cfg.train_cfg.max_epochs,
            folder=folder / f'seed_{used}',
            text=text,
            flags=(*self.flags, '--seed', str(used)),
        )


def plan_search(
    args: argparse.Namespace, parse_training: ParseTraining
) -> SearchPlan:
    """Read configs, space and photos; refuse another search's folder."""
    device = check_arguments(args)
    flags = training_flags(args)
    configs, paths, digests = {}, {}, {}
    for path in args.configs:
        name = Path(path).stem
        cfg = read_for(path, args)
        as_file(cfg, path)  # refuses what a file cannot hold
        words = [path, *flags, '--device', args.device[0]]
        used = with_flags(cfg, path, parse_training(words))
        if args.data_root:
            use_data_root(cfg, args.data_root)
        resolved = resolve(used)
        configs[name] = SearchConfig(
            name, cfg, resolved.cfg, numbers_layers(resolved.cfg)
        )
        paths[name], root = path, resolved.data_root
        digests[name] = (used, digest(used, device))
        _require_val_split(path, resolved.cfg, root)
    require_same_photos({name: used for name, (used, _) in digests.items()})
    ordered = list(configs.values())
    if args.space:
        space = read_space(Path(args.space), ordered)
    else:
        space = default_space(ordered, {'epochs'} if args.epochs else set())
    decisive = {
        'configs': {name: number for name, (_, number) in digests.items()},
        'space': {
            k: json.loads(distribution_to_json(v)) for k, v in space.items()
        },
        'flags': flags,
        'seed': args.seed,
    }
    photos = split_validation(root)
    record = _record(Path(args.out), decisive, args)
    debug = ['--debug'] if args.debug else []
    return SearchPlan(
        configs, paths, space, photos, root, (*flags, *debug), args.seed,
        record, Path(args.out),
    )  # fmt: skip


def _require_val_split(path: str, cfg: Config, root: Path) -> None:
    """Require that validation uses the whole val split of the dataset."""
    val = list(datasets(cfg, ('val_dataloader',)))
    expected = root / DatasetDir.list_of('val')
    if len(val) != 1 or val[0].get('indices') or list_of(val[0]) != expected:
        raise UserError(
            f'invalid val_dataloader in {path}: a search splits the photos of '
            f'{expected}, expected a FlowerDataset of them without indices'
        )


def _record(folder: Path, decisive: dict, args: argparse.Namespace) -> dict:
    """Return search.json, which is written once."""
    path = folder / RECORD
    decisive = json.loads(json.dumps(decisive))
    if not path.is_file():
        group = GROUP
        while group < (args.jobs or len(args.device)):
            group *= 2
        return {
            'study': study_name(folder), 'group': group, 'decisive': decisive
        }  # fmt: skip
    try:
        record = json.loads(path.read_text('utf-8'))
        then = dict(record['decisive'])
        group, name = int(record['group']), str(record['study'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path} is damaged: {error}.\nName another folder: --out FOLDER'
        ) from error
    changed = [key for key in decisive if decisive[key] != then.get(key)]
    if changed:
        raise UserError(
            f'{folder} has a search with other {" and ".join(changed)} '
            '(configs include the photos and the weights).\nRepeat its '
            'command, or name another folder: --out FOLDER'
        )
    return {'study': name, 'group': group, 'decisive': then}
