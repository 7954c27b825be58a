"""Exit codes, and the end of a command by a signal."""

import signal

OK = 0
FAULT = 1  # of flower_mm
USER_ERROR = 2
INTERRUPTED, TERMINATED = 130, 143  # a shell's codes for SIGINT and SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM, from a scheduler or `kill`: end as after Ctrl-C.

    `came` stays true, since an error about a lost process can hide the signal
    when the whole process group is terminated.
    """

    came = False

    @classmethod
    def on_signal(cls, *_: object) -> None:
        cls.came = True
        let_children_end()
        raise cls


def let_children_end() -> None:
    """Stop torch from raising for each worker that ends with this process."""
    if hasattr(signal, 'SIGCHLD'):
        # With SIG_DFL, Python complains about a signal that is pending.
        signal.signal(signal.SIGCHLD, lambda *_: None)


def interrupted(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a command that a signal stopped."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
