"""What the fuzz tests share: damage to good inputs, and what is allowed."""

import itertools
import json
import os
import re
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from flower_mm.errors import UserError

COUNTS = Counter()  # inputs tried, by reader
LONGEST_TEXT = 5000  # characters of an error
MEMORY = 1 << 30  # bytes that a reader may ask for
SECONDS = 20  # of computing, after which it hangs
WAITING = 120  # seconds; a machine that pauses does not count them
# What an error must not print: it would steer the terminal.
STEERING = re.compile('[\0-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]')

settings.register_profile(
    'short',
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    'long',
    settings.get_profile('short'),
    max_examples=4000,
    derandomize=False,
    print_blob=True,
)


def fuzz(share: float = 1.0) -> Callable:
    """Settings of a test; `share` is smaller for a reader that is slow."""
    profile = settings.get_profile(os.environ.get('FLOWER_MM_FUZZ', 'short'))
    return settings(profile, max_examples=int(profile.max_examples * share))


class HangsError(BaseException):
    """Not an Exception, which a reader may take for the input's fault."""


@contextmanager
def only_ours(reader: str) -> Iterator[None]:
    """Count an input; let no error pass but our own, and no run-away."""
    COUNTS[reader] += 1
    with _bounded(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            yield
        except UserError as error:
            said = str(error)
        else:
            return
    assert 0 < len(said) < LONGEST_TEXT
    assert not any(map(STEERING.match, said))


@contextmanager
def _bounded() -> Iterator[None]:
    size = Path('/proc/self/statm')
    if not size.exists():
        yield
        return
    import resource

    seconds = itertools.count(1)

    def compute(*_: object) -> None:
        raise HangsError(f'more than {SECONDS} s of computing')

    def wait(*_: object) -> None:
        if next(seconds) >= WAITING:
            raise HangsError(f'more than {WAITING} s of waiting')

    pages = int(size.read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + MEMORY
    handlers = {
        kind: signal.signal(kind, handler)
        for kind, handler in (
            (signal.SIGPROF, compute),
            (signal.SIGALRM, wait),
        )
    }
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    except HangsError as error:  # hypothesis shows the input of Exceptions
        raise AssertionError(error) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


# --- texts -------------------------------------------------------------------

POISON = [
    *('', ' ', '.', '..', '../x', 'a/../../x', '/etc/passwd', '//etc/passwd'),
    *('C:/x', 'C:x', '\\\\server\\x', '..\\x', './daisy/0.jpg', 'daisy//x'),
    *('\0', '\ufeff', '\r', '\n', '\x0b', '\x85', '\u2028', '\u202e', '\x1b['),
    *('-1', '+1', '1_0', '00', '²', '٣', '1e9', '9' * 5000, 'a' * 9000),
    *('é', 'e\u0301', 'ﬁ', '\U0001f33c', 'a/' * 3000, 'nan', 'f' * 64),
]
words = st.sampled_from(POISON) | st.text(max_size=12)


@st.composite
def damaged_lines(draw: st.DrawFn, good: list[str]) -> bytes:
    """Lines dropped, doubled, swapped, and words of them replaced."""
    lines = list(good)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1)) if lines else 0
        match draw(st.integers(0, 5)) if lines else 3:
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 2:
                parts = lines[at].split(' ')
                parts[draw(st.integers(0, len(parts) - 1))] = draw(words)
                lines[at] = ' '.join(parts)
            case 3:
                lines.insert(at, draw(words))
            case 4:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(words) + lines[at][cut:]
            case 5:
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
    start = draw(st.sampled_from(['', '', '\ufeff', '\ufeff\ufeff']))
    end = draw(st.sampled_from(['\n', '\n', '\r\n', '\r', '\0']))
    text = start + end.join(lines)
    code = draw(st.sampled_from([*8 * ['utf-8'], 'utf-16', 'utf-7']))
    return text.encode(code, 'surrogatepass')


# --- JSON --------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -1, 2**63, 2**64])
    | st.floats()
    | words
    | st.text(st.characters(codec=None), max_size=5),  # surrogates, too
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(words, some, max_size=3)
    ),
    max_leaves=5,
)


texts_of_json = anything.map(json.dumps).map(str.encode)


@st.composite
def damaged_json(draw: st.DrawFn, good: object) -> bytes:
    """Values of another type or gone, keys added and doubled, deep nests."""
    found = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 2))):
        found = draw(_one_damage(found, 0))
    text = json.dumps(found)
    match draw(st.integers(0, 12)):
        case 0:
            twin = json.dumps(draw(words)), json.dumps(draw(anything))
            text = text.replace('{', f'{{{twin[0]}: {twin[1]}, ', 1)
        case 1:
            depth = draw(st.sampled_from([10, 1000, 100_000]))
            text = text.replace('"', '[' * depth, 1)
        case 2:
            return draw(damaged(text.encode()))
        case 3:
            return draw(st.binary(max_size=30) | texts_of_json)
    return text.encode()


@st.composite
def _one_damage(draw: st.DrawFn, value: object, depth: int) -> object:
    """The same value with one place in it changed."""
    keys = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    if not keys or (depth and draw(st.integers(0, 3)) == 0):
        return draw(anything)
    key = draw(st.sampled_from(keys))
    match draw(st.integers(0, 4)):
        case 0:
            del value[key]
        case 1 if isinstance(value, dict):
            value[draw(words)] = value.pop(key)
        case _:
            value[key] = draw(_one_damage(value[key], depth + 1))
    return value


# --- bytes -------------------------------------------------------------------

NUMBERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63]


@st.composite
def damaged(draw: st.DrawFn, good: bytes, most: int = 4) -> bytes:
    """Bits flipped, numbers made absurd, pieces cut, doubled, cut off."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        long = draw(st.integers(1, 40))
        match draw(st.integers(0, 6)) if data else 6:
            case 0:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                wide = draw(st.sampled_from([1, 2, 4, 8]))
                number = draw(st.sampled_from(NUMBERS)) % (1 << 8 * wide)
                order = draw(st.sampled_from(['little', 'big']))
                data[at : at + wide] = number.to_bytes(wide, order)
            case 2:
                del data[at : at + long]
            case 3:
                data[at:at] = data[at : at + long]
            case 4:
                del data[at:]
            case 5:
                other = draw(st.integers(0, len(data) - 1))
                data[at : at + long] = data[other : other + long]
            case 6:
                data[at:at] = draw(st.binary(max_size=20))
    return bytes(data)
