"""Settings of MMEngine's CheckpointHook that ours takes one value of."""

from flower_mm.errors import UserError

NAME = 'epoch_{}.pth'
# The accepted values, and the reason for no others.
REQUIRED = {
    'by_epoch': ([True], 'checkpoints are of whole epochs'),
    'save_optimizer': ([True], 'a run resumes from each checkpoint'),
    'save_param_scheduler': ([True], 'a run resumes from each checkpoint'),
    'out_dir': ([None], 'name a folder for all results: --work-dir FOLDER'),
    'filename_tmpl': ([None, NAME], 'resuming looks for these names'),
    'backend_args': ([None, {'backend': 'local'}], 'name a local folder'),
    'file_client_args': ([None, {'backend': 'disk'}], 'name a local folder'),
}


def fix(name: str, value: object) -> str:
    """The words of a command that set this setting."""
    return f'--cfg-options default_hooks.checkpoint.{name}={value}'


def require_numbers(
    interval: float, max_keep_ckpts: int, save_begin: int
) -> None:
    for name, value, allowed, kinds, default in (
        ('interval', interval, interval != 0, (int, float), 1),
        ('max_keep_ckpts', max_keep_ckpts, True, (int,), 1),
        ('save_begin', save_begin, True, (int,), 0),
    ):
        if type(value) not in kinds or not allowed:
            raise UserError(
                f'invalid {name} of CheckpointHook: expected a number of '
                f'epochs or checkpoints, got {value!r}\n{fix(name, default)}'
            )


def require_values(**settings: object) -> None:
    for name, value in settings.items():
        allowed, reason = REQUIRED[name]
        if value not in allowed:
            expected = ' or '.join(map(repr, allowed))
            raise UserError(
                f'invalid {name} of CheckpointHook: expected {expected}, got '
                f'{value!r}: {reason}\n{fix(name, allowed[0])}'
            )
