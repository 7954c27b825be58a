"""What MMClassification 0.x called things, which MMPretrain ignores."""

# Key by key, as they stood in a config.
SETTINGS = {
    'data.samples_per_gpu': 'train_dataloader.batch_size',
    'data.workers_per_gpu': 'train_dataloader.num_workers',
    'data.train': 'train_dataloader.dataset',
    'data.val': 'val_dataloader.dataset',
    'data.test': 'test_dataloader.dataset',
    'evaluation.interval': 'train_cfg.val_interval',
    'evaluation.metric': 'val_evaluator',
    'evaluation.metric_options': 'val_evaluator',
    'evaluation.save_best': 'default_hooks.checkpoint.save_best',
    'runner.max_epochs': 'train_cfg.max_epochs',
    'lr_config.policy': 'param_scheduler',
    'optimizer.type': 'optim_wrapper.optimizer.type',
    'optimizer.lr': 'optim_wrapper.optimizer.lr',
    'optimizer.momentum': 'optim_wrapper.optimizer.momentum',
    'optimizer.weight_decay': 'optim_wrapper.optimizer.weight_decay',
    'optimizer_config.grad_clip': 'optim_wrapper.clip_grad',
    'checkpoint_config.interval': 'default_hooks.checkpoint.interval',
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
# Inside a dataloader, a crop and a flip.
KEYS = {
    'samples_per_gpu': 'batch_size',
    'workers_per_gpu': 'num_workers',
    'size': 'scale',
    'flip_prob': 'prob',
}
# Hooks that are gone, and what does that now.
TYPES = {
    'EvalHook': 'take it out: train_cfg.val_interval and val_evaluator do it',
    'TextLoggerHook': "default_hooks.logger=dict(type='LoggerHook')",
    'TensorboardLoggerHook': (
        "visualizer.vis_backends=[dict(type='TensorboardVisBackend')]"
    ),
}
