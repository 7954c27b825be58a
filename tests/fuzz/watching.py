"""Reports files, sockets, programs and imports that code must not touch.

Python's audit events name them, except for one: `importlib.import_module`
raises the event `import` for no module. A finder in front of all others sees
those.
"""

import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where the code of the libraries lies, which may be read at any time.
LIBRARIES = tuple(
    str(path)
    for folder in (
        *site.getsitepackages(),
        sysconfig.get_path('stdlib'),
        Path(__file__).parents[2] / 'flower_mm',
    )
    for path in (Path(folder), Path(folder).resolve())
)
# Modules that the libraries import when they first need them.
IMPORTS = (
    *('cv2', 'flower_mm', 'huggingface_hub', 'mmcv', 'mmengine'),
    *('mmpretrain', 'numpy', 'PIL', 'safetensors', 'timm', 'torch'),
    *('torchvision', 'transformers'),
)
# Events of which any is one too many.
FORBIDDEN = (
    *('ctypes.dlopen', 'ftplib.', 'glob.', 'http.', 'os.chdir', 'os.chmod'),
    *('os.chown', 'os.exec', 'os.fork', 'os.kill', 'os.link', 'os.mkdir'),
    *('os.posix_spawn', 'os.putenv', 'os.remove', 'os.rename', 'os.rmdir'),
    *('os.spawn', 'os.startfile', 'os.symlink', 'os.system', 'os.truncate'),
    *('os.unsetenv', 'os.utime'),
    *('pickle.find_class', 'pty.spawn', 'shutil.', 'socket.', 'sqlite3.'),
    *('subprocess.', 'tempfile.', 'urllib.', 'webbrowser.'),
)
DTYPES = (('torch', 'uint8'), ('torch', 'float32'))

seen: list[str] = []  # what was not allowed
_allowed: tuple[str, ...] | None = None


class NotAllowedError(BaseException):
    """Ends the call, and is not taken for a fault of the input."""


class _RefusingFinder:
    """Refuses modules that are neither loaded nor allowed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if _allowed is not None and not _may_import(name):
            _refuse('import', (name,))


_finder = _RefusingFinder()


@contextmanager
def watched(*files: Path) -> Iterator[None]:
    """Allow reading these files and nothing else.

    Raises:
        AssertionError: Something else happened; it was stopped.
    """
    global _allowed
    seen.clear()
    sys.meta_path.insert(0, _finder)
    _allowed = tuple(map(str, files))
    try:
        yield
    except NotAllowedError:
        pass  # it is in `seen`
    finally:
        _allowed = None
        sys.meta_path.remove(_finder)
    assert not seen, seen


def _may_import(name: str) -> bool:
    return name.partition('.')[0] in IMPORTS or (
        name in sys.stdlib_module_names and name != 'antigravity'
    )


def _refuse(event: str, args: tuple) -> None:
    seen.append(f'{event} {args!r:.200}')
    raise NotAllowedError(seen[-1])


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
        return _may_import(args[0])
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
        _refuse(event, args)


sys.addaudithook(_hook)
