"""What MMClassification 0.x called things, which MMPretrain ignores."""

# Key by key, as they stood in a config.
SETTINGS = {
    'data.samples_per_gpu': 'train_dataloader.batch_size',
    'data.workers_per_gpu': 'train_dataloader.num_workers',
    'data.train': 'train_dataloader.dataset',
    'data.val': 'val_dataloader.dataset',
    'data.test': 'test_dataloader.dataset',
    'runner.max_epochs': 'train_cfg.max_epochs',
    'runner.type': '',  # by_epoch is the default
    'optimizer_config.grad_clip': 'optim_wrapper.clip_grad',
    'log_config.interval': 'default_hooks.logger.interval',
}
# The groups as a whole, and what stood alone.
NAMES = {
    'data': 'train_dataloader, val_dataloader and test_dataloader',
    'evaluation': 'train_cfg.val_interval and val_evaluator',
    'runner': 'train_cfg',
    'lr_config': 'param_scheduler',
    'momentum_config': 'param_scheduler',
    'optimizer': 'optim_wrapper.optimizer',
    'optimizer_config': 'optim_wrapper',
    'checkpoint_config': 'default_hooks.checkpoint',
    'log_config': 'default_hooks.logger and visualizer.vis_backends',
    'total_epochs': 'train_cfg.max_epochs',
    'dist_params': 'env_cfg.dist_cfg',
    'fp16': 'the flag --amp',
    'resume_from': 'the flag --resume CHECKPOINT',
    'gpu_ids': 'the flag --device',
    'cudnn_benchmark': 'env_cfg.cudnn_benchmark',
    'mp_start_method': 'env_cfg.mp_cfg.mp_start_method',
    'opencv_num_threads': 'env_cfg.mp_cfg.opencv_num_threads',
    'seed': 'randomness.seed',
    'deterministic': 'randomness.deterministic',
    'workflow': 'nothing: validation is train_cfg.val_interval',
}
# The groups whose keys are as they were, at another place.
GROUPS = {'optimizer', 'checkpoint_config'}
# Datasets have other types and keys now, so theirs are not said again.
WHOLE = {f'{split}_dataloader.dataset' for split in ('train', 'val', 'test')}
# What is counted besides the accuracy, as an item of SingleLabelMetric.
METRICS = {
    'precision': 'precision',
    'recall': 'recall',
    'f1_score': 'f1-score',
    'support': 'support',
}
# Inside a dataloader, a crop and a flip.
KEYS = {
    'samples_per_gpu': 'batch_size',
    'workers_per_gpu': 'num_workers',
    'size': 'scale',
    'flip_prob': 'prob',
}
_MIXED = (
    'without num_classes and prob; how often each acts says probs beside '
    'augments'
)
# What is gone or has another name, and what does that now.
TYPES = {
    'EvalHook': 'take it out: train_cfg.val_interval and val_evaluator do it',
    'TextLoggerHook': "default_hooks.logger=dict(type='LoggerHook')",
    'TensorboardLoggerHook': (
        "visualizer.vis_backends=[dict(type='TensorboardVisBackend')]"
    ),
    'BatchMixup': f"'Mixup', {_MIXED}",
    'BatchCutMix': f"'CutMix', {_MIXED}",
    'BatchResizeMix': f"'ResizeMix', {_MIXED}",
}
