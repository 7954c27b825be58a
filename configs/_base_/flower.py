"""What every flower config shares: photos, schedule, hooks and records."""

default_scope = 'flower_mm'
custom_imports = dict(imports=['flower_mm.engine'])
runner_type = 'FlowerRunner'

# --- photos -----------------------------------------------------------------
# The number of classes comes from classes.txt.
data_root = 'data/flower_dataset'
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],  # ImageNet's, RGB
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='QuickJitter', brightness=0.2, contrast=0.2, saturation=0.2),
    dict(type='PackInputs'),
]
# Inserted before PackInputs: dict(type='AutoAugment', policies='imagenet').
more_augments = []
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # ImageNet's 256 would cut off an eighth of the short side.
    dict(type='ResizeEdge', scale=232, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='FlowerDataset',
        data_root=data_root,
        split='train',
        pipeline=train_pipeline,
        # An unreadable photo stops the run; 'skip' counts it and loads another
        # one of its class.
        broken='stop',
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='FlowerDataset',
        data_root=data_root,
        split='val',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
# Without a test split, testing uses val.
test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='FlowerDataset',
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='CrossEntropy'),
]
test_evaluator = val_evaluator

# --- schedule ---------------------------------------------------------------
# 'auto' follows from the number of photos: at least five epochs, and at least
# 100 steps with up to ten validations.
train_cfg = dict(by_epoch=True, max_epochs='auto', val_interval='auto')
val_cfg = dict(type='EMAValLoop')
test_cfg = dict()
# The learning rate for 1,500 photos and more; 'auto' lowers it for fewer.
peak_lr = 3e-4
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    optimizer=dict(type='AdamW', lr='auto', weight_decay=0.05),
    # Weight decay of scales and shifts does not regularise.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
# bfloat16 where a probe shows that this machine computes faster in it;
# 'float32' switches that off.
precision = 'auto'
# MMEngine ends the cosine at train_cfg.max_epochs, so that a shorter run has
# a complete schedule as well.
param_scheduler = [
    # For 30 % of the run. With a short warm-up the network forgets what it
    # knew, and a small dataset does not teach it again.
    dict(
        type='LinearLR',
        start_factor=0.1,
        begin=0,
        end='auto',
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin='auto',
        convert_to_iter_based=True,
    ),
]
# The learning rate is for this batch size, summed over all processes.
auto_scale_lr = dict(base_batch_size=32)

# --- hooks and records ------------------------------------------------------
default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='EpochSeedHook'),
    logger=dict(type='LoggerHook', interval=10, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    broken_photos=dict(type='BrokenPhotosHook'),
    # Batch-norm statistics of the processes are averaged before validation.
    sync_buffers=dict(type='SyncBuffersHook'),
    frozen_statistics=dict(type='FrozenStatisticsHook'),
    # The mean of the weights of all steps since the fitted head; best.pth has
    # it where it is better.
    ema=dict(
        type='EMAHook',
        ema_type='StochasticWeightAverage',
        update_buffers=True,
    ),
    # Two, in case that one is damaged.
    checkpoint=dict(
        type='AtomicCheckpointHook', interval='auto', max_keep_ckpts=2
    ),
    # Stop at a loss that is NaN or Inf; --retry-nan resumes instead.
    finite=dict(type='FiniteLossHook'),
    record=dict(type='RunRecordHook'),
    progress=dict(type='ProgressHook'),
    # Before the report, which records the hash of best.pth.
    known_photos=dict(type='KnownPhotosHook'),
    report=dict(type='ReportHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    # After all other hooks: it validates the fitted head.
    head_first=dict(type='HeadFirstHook'),
)
# Loss and accuracy over the last ten batches, because the last batch of an
# epoch may be small.
log_processor = dict(
    by_epoch=True,
    window_size=10,
    custom_cfg=[
        dict(data_src='accuracy_top-1', method_name='mean', window_size=10)
    ],
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method=None, opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='GroupedTensorboardVisBackend'),
    ],
)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0, deterministic=False)
