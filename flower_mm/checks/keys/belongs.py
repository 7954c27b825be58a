"""Where that belongs which people write elsewhere, or by another name."""

# Names as people write them, without capitals and underscores.
PLACES = {
    'optim_wrapper.optimizer.lr': {
        'lr',
        'learningrate',
        'baselr',
        'baselearningrate',
        'initlr',
        'initiallr',
    },
    'optim_wrapper.optimizer.weight_decay': {'weightdecay', 'wd'},
    'optim_wrapper.optimizer.momentum': {'momentum'},
    'train_cfg.max_epochs': {
        'epochs',
        'maxepoch',
        'maxepochs',
        'nepochs',
        'numepoch',
        'numepochs',
        'totalepoch',
        'totalepochs',
        'trainepochs',
    },
    'train_cfg.val_interval': {'valinterval', 'evalinterval'},
    'train_dataloader.batch_size': {'batchsize', 'trainbatchsize', 'bs'},
    'val_dataloader.batch_size': {'valbatchsize'},
    'test_dataloader.batch_size': {'testbatchsize'},
    'train_dataloader.num_workers': {'numworkers', 'workers', 'nworkers'},
    'train_dataloader.dataset': {'dataset', 'traindataset'},
    'train_dataloader.dataset.data_root': {
        'dataroot',
        'datadir',
        'datapath',
        'datasetdir',
        'datasetpath',
        'datasetroot',
    },
    'train_dataloader.dataset.type': {'datasettype'},
    'train_dataloader.dataset.pipeline': {'trainpipeline', 'pipeline'},
    'val_dataloader.dataset': {'valdataset'},
    'val_dataloader.dataset.pipeline': {'testpipeline', 'valpipeline'},
    'randomness.seed': {'randomseed', 'seed'},
    'load_from': {'pretrained', 'pretrainedweights', 'checkpoint'},
    'visualizer.vis_backends': {'visbackends'},
}
PLACE_OF = {name: place for place, names in PLACES.items() for name in names}
# classes.txt decides about these, whatever a config says.
CLASSES = {
    'classes',
    'classnames',
    'classnum',
    'nclass',
    'nclasses',
    'numclass',
    'numclasses',
}


def place_of(name: str) -> str | None:
    """The key that decides about what this name says."""
    return PLACE_OF.get(_plain(name))


def is_of_classes(name: str) -> bool:
    return _plain(name) in CLASSES


def _plain(name: str) -> str:
    return name.lower().replace('_', '')
