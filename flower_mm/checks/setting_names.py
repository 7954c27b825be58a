"""Names that people give to settings, and the keys that MMPretrain reads."""

# Names in lower case, without underscores.
PLACES = {
    'optim_wrapper.optimizer.lr': (
        'lr learningrate baselr baselearningrate initlr initiallr'
    ),
    'optim_wrapper.optimizer.weight_decay': 'weightdecay wd',
    'optim_wrapper.optimizer.momentum': 'momentum',
    'train_cfg.max_epochs': (
        'epochs maxepoch maxepochs nepochs numepoch numepochs totalepoch '
        'totalepochs trainepochs'
    ),
    'train_cfg.val_interval': 'valinterval evalinterval',
    'train_dataloader.batch_size': 'batchsize trainbatchsize bs',
    'val_dataloader.batch_size': 'valbatchsize',
    'test_dataloader.batch_size': 'testbatchsize',
    'train_dataloader.num_workers': 'numworkers workers nworkers',
    'train_dataloader.dataset': 'dataset traindataset',
    'train_dataloader.dataset.data_root': (
        'dataroot datadir datapath datasetdir datasetpath datasetroot'
    ),
    'train_dataloader.dataset.type': 'datasettype',
    'train_dataloader.dataset.pipeline': 'trainpipeline pipeline',
    'val_dataloader.dataset': 'valdataset',
    'val_dataloader.dataset.pipeline': 'testpipeline valpipeline',
    'randomness.seed': 'randomseed seed',
    'load_from': 'pretrained pretrainedweights checkpoint',
    'visualizer.vis_backends': 'visbackends',
}
PLACE_OF = {
    name: place for place, names in PLACES.items() for name in names.split()
}
# classes.txt decides about these, whatever a config says.
CLASSES = frozenset(
    {
        'classes',
        'classnames',
        'classnum',
        'nclass',
        'nclasses',
        'numclass',
        'numclasses',
    }
)

# MMClassification 0.x: top-level keys, keys of parts, and types.
MIGRATION = 'https://mmpretrain.readthedocs.io/en/latest/migration.html'
OLD_KEYS = frozenset(
    {
        'data',
        'evaluation',
        'runner',
        'lr_config',
        'momentum_config',
        'optimizer',
        'optimizer_config',
        'checkpoint_config',
        'log_config',
        'total_epochs',
        'dist_params',
        'fp16',
        'resume_from',
        'gpu_ids',
        'cudnn_benchmark',
        'mp_start_method',
        'opencv_num_threads',
        'seed',
        'deterministic',
        'workflow',
    }
)
RENAMED_KEYS = {
    'samples_per_gpu': 'batch_size',
    'workers_per_gpu': 'num_workers',
    'size': 'scale',
    'flip_prob': 'prob',
}
OLD_TYPES = frozenset(
    {
        'EvalHook',
        'TextLoggerHook',
        'TensorboardLoggerHook',
        'BatchMixup',
        'BatchCutMix',
        'BatchResizeMix',
    }
)


def place_of(name: str) -> str | None:
    """Return the key that decides about what this name says."""
    return PLACE_OF.get(_plain(name))


def names_classes(name: str) -> bool:
    return _plain(name) in CLASSES


def _plain(name: str) -> str:
    return name.lower().replace('_', '')
