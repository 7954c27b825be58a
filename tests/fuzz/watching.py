"""What Python's audit events tell of: files, sockets, programs, imports."""

import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where the code of the libraries lies, which may be read at any time.
LIBRARIES = tuple(
    str(Path(folder).resolve())
    for folder in (
        *site.getsitepackages(),
        sysconfig.get_path('stdlib'),
        Path(__file__).parents[2] / 'flower_mm',
    )
)
# Modules that the libraries import when they first need them.
IMPORTS = (
    *('cv2', 'flower_mm', 'huggingface_hub', 'mmcv', 'mmengine'),
    *('mmpretrain', 'numpy', 'PIL', 'safetensors', 'timm', 'torch'),
    *('torchvision', 'transformers'),
)
# Events of which any is one too many.
FORBIDDEN = (
    *('ctypes.dlopen', 'ftplib.', 'http.', 'os.exec', 'os.fork', 'os.link'),
    *('os.mkdir', 'os.posix_spawn', 'os.remove', 'os.rename', 'os.rmdir'),
    *('os.spawn', 'os.startfile', 'os.symlink', 'os.system', 'os.truncate'),
    *('pickle.find_class', 'pty.spawn', 'shutil.', 'socket.', 'sqlite3.'),
    *('subprocess.', 'tempfile.', 'urllib.', 'webbrowser.'),
)
DTYPES = (('torch', 'uint8'), ('torch', 'float32'))

seen: list[str] = []  # what was not allowed
_allowed: tuple[str, ...] | None = None


class NotAllowedError(BaseException):
    """Ends the call, and is not taken for a fault of the input."""


@contextmanager
def watched(*files: Path) -> Iterator[None]:
    """Let nothing be read but these files, and nothing else be done."""
    global _allowed
    _allowed = tuple(map(str, files))
    try:
        yield
    finally:
        _allowed = None
    assert not seen, seen


def _is_allowed(event: str, args: tuple) -> bool:
    if event == 'open':
        path, mode, flags = args
        if not isinstance(path, str | bytes):
            return True  # a number: of a file that is open
        path = path.decode() if isinstance(path, bytes) else path
        reading = mode in ('r', 'rb', None) and not flags & 0b11
        library = str(Path(path)).startswith(LIBRARIES)
        return reading and (path in _allowed or library)
    if event == 'import':
        return args[0].partition('.')[0] in IMPORTS or (
            args[0] in sys.stdlib_module_names and args[0] != 'antigravity'
        )
    if event == 'exec':
        code = args[0]
        return (
            str(code.co_filename).startswith((*LIBRARIES, '<frozen'))
            or code.co_names in DTYPES
        )
    if event == 'ctypes.dlopen' and args == (None,):
        return True  # this process, for the settings of its memory
    return not event.startswith(FORBIDDEN)


def _hook(event: str, args: tuple) -> None:
    if _allowed is not None and not _is_allowed(event, args):
        seen.append(f'{event} {args!r:.200}')
        raise NotAllowedError(seen[-1])


sys.addaudithook(_hook)
