"""From a painter to a photo: background, clutter, light, lens, film."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from flower_mm.demo.colours import GREENS, NAMED, colour, mix, pick
from flower_mm.demo.kinds import Kind
from flower_mm.demo.paint import Canvas, Frame, dots, fill, soften, strokes
from flower_mm.demo.parts import (
    DOWN,
    Form,
    ball,
    blade,
    circle,
    leaf,
    ring,
    stem,
)

FINER = 2  # painted this many times larger, for smooth edges
SHAPES = ((4, 3), (4, 3), (3, 2), (1, 1), (3, 4), (2, 3))
BLOOMS = tuple(n for n in NAMED if n not in (*GREENS, 'slate', 'black'))

Ground = Callable[[int, int, np.random.Generator], Canvas]


def photo(kind: Kind, rng: np.random.Generator) -> Image.Image:
    """One photo of a thing of this kind, somewhere in its surroundings."""
    across, down = pick(rng, SHAPES)
    longer = int(rng.integers(160, 225))
    width = round(longer * across / max(across, down))
    height = round(longer * down / max(across, down))
    canvas = pick(rng, GROUNDS)(width * FINER, height * FINER, rng)
    _clutter(canvas, rng, int(rng.integers(2, 9)))
    canvas = Canvas(soften(canvas.rgb, FINER * rng.uniform(0, 5) ** 1.3 / 2))
    _clutter(canvas, rng, int(rng.integers(0, 4)))
    for frame in _places(canvas, kind, rng):
        _set(canvas, frame, kind, rng)
        if rng.random() < 0.45:
            _hide(canvas, frame, rng)
    lit = _light(canvas.rgb, rng)
    return _expose(lit, (width, height), rng)


def _places(
    canvas: Canvas, kind: Kind, rng: np.random.Generator
) -> list[Frame]:
    """Mostly one, mostly whole, seldom in the very middle."""
    width, height = canvas.size
    many = 1 if rng.random() < 0.7 else int(rng.integers(2, 5))
    radius = min(width, height) / 2 * rng.uniform(0.3, 1.05)
    if many > 1:
        radius = min(radius, min(width, height) / 2 * 0.55)
    frames = []
    for _ in range(many):
        size = radius * rng.uniform(0.8, 1)
        x, y = (
            rng.uniform(
                min(size * 0.8, side / 2), max(side - size * 0.8, side / 2)
            )
            for side in (width, height)
        )
        frames.append(_aside(Frame.canvas().move(x, y).scale(size), kind, rng))
    return frames


def _aside(frame: Frame, kind: Kind, rng: np.random.Generator) -> Frame:
    """Seen from the side: flattened along some direction of the picture."""
    lean = rng.normal(0, 0.5)
    return frame.turn(lean).scale(1, rng.uniform(kind.flat, 1)).turn(-lean)


def _set(
    canvas: Canvas, frame: Frame, kind: Kind, rng: np.random.Generator
) -> None:
    """Paint one thing with its stem, and the shadow it throws."""
    if rng.random() < kind.stalk:
        green = colour(rng, GREENS)
        hang = frame.turn(rng.normal(0, 0.35))
        stem(canvas, hang, green, rng, width=rng.uniform(0.07, 0.14))
        for way in (-1, 1):
            if rng.random() < 0.35:
                at = hang.move(0, rng.uniform(1.0, 2.0))
                turn = DOWN - way * rng.uniform(0.8, 2.2)
                reach = rng.uniform(0.6, 1.2)
                leaf(canvas, at.turn(turn).scale(reach), green, rng)
    top = canvas.above()
    kind.paint(top, frame.turn(rng.uniform(-kind.turn, kind.turn)), rng)
    _shadow(canvas, top, frame.unit, rng)
    canvas.lay(top, FINER * max(0.0, rng.normal(0.1, 0.35)))


def _shadow(
    canvas: Canvas, top: Canvas, unit: float, rng: np.random.Generator
) -> None:
    """Darken what lies below the paint on `top`, a little to one side."""
    x, y = np.round(rng.uniform(0.03, 0.16) * unit * _heading(rng)).astype(int)
    blur = 0.06 * unit + 1
    part = top.painted(round(3 * blur + 0.16 * unit))
    thrown = soften(np.roll(top.cover[part], (y, x), (0, 1)), blur)
    depth = rng.uniform(0.15, 0.5)
    canvas.rgb[part] *= (1 - depth * thrown)[..., None]


def _heading(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _hide(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Blades, a leaf or a twig in front of part of the flower."""
    top = canvas.above()
    for _ in range(int(rng.integers(1, 4))):
        green = colour(rng, (*GREENS, 'brown', 'tan'))
        beside = frame.move(*(rng.uniform(0.35, 0.95) * _heading(rng)))
        if rng.random() < 0.6:
            low = beside.turn(rng.normal(0, 0.5)).move(0, 2)
            long = low.turn(-DOWN).scale(rng.uniform(2, 4))
            blade(top, long, green, rng, rng.uniform(0.03, 0.09))
        else:
            turned = beside.turn(rng.uniform(0, 6.3))
            leaf(top, turned.scale(rng.uniform(0.5, 1.1)), green, rng)
    canvas.lay(top, FINER * max(0.0, rng.normal(0.3, 1)))


def _clutter(canvas: Canvas, rng: np.random.Generator, many: int) -> None:
    """Things that lie around; none of them is of any kind."""
    width, height = canvas.size
    for _ in range(many):
        frame = (
            Frame.canvas()
            .move(rng.uniform(0, width), rng.uniform(0, height))
            .turn(rng.uniform(0, 6.3))
            .scale(min(width, height) * rng.uniform(0.06, 0.3))
        )
        pick(rng, CLUTTER)(canvas, frame, rng)


def _leaf(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    tones = (*GREENS, *GREENS, 'tan', 'orange')
    leaf(canvas, frame.scale(1.8), colour(rng, tones), rng)


def _blade(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    blade(canvas, frame.scale(4), colour(rng, (*GREENS, 'tan')), rng)


def _stone(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    flat = frame.scale(0.6, rng.uniform(0.3, 0.55))
    ball(canvas, flat, colour(rng, ('stone', 'slate', 'tan', 'cream')))


def _spot(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """A blot in the colours of flowers, so that colour tells little."""
    ball(canvas, frame.scale(rng.uniform(0.3, 0.8)), colour(rng, BLOOMS))


def _tuft(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, BLOOMS)
    form = Form(rng.uniform(0.5, 0.9), 0.5, rng.uniform(0.3, 0.5))
    ring(
        canvas,
        frame.scale(0.5),
        int(rng.integers(3, 6)),
        form,
        hue * 0.8,
        hue,
        rng,
    )


def _twig(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    x = np.linspace(-3, 3, 9)
    line = np.stack([x, np.cumsum(rng.normal(0, 0.12, 9))], 1)
    brown = colour(rng, ('brown', 'tan', 'umber'))
    strokes(canvas, frame, [line], 0.12, brown * 0.8)
    strokes(canvas, frame, [line - 0.02], 0.05, brown)


CLUTTER = (_leaf, _leaf, _blade, _blade, _stone, _spot, _spot, _tuft, _twig)


def noise(
    rng: np.random.Generator, width: int, height: int, cells: float
) -> np.ndarray:
    """Smooth hills and dales around 0, `cells` of them along the width."""
    across = max(2, round(cells))
    down = max(2, round(cells * height / width))
    grid = rng.normal(0, 1, (down, across)).astype(np.float32)
    hills = Image.fromarray(grid).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.asarray(hills)


def _plain(
    tone: np.ndarray, width: int, height: int, rng: np.random.Generator
) -> np.ndarray:
    """One tone with soft patches of lighter and darker."""
    patches = np.zeros((height, width), np.float32)
    for cells, depth in ((3, 0.10), (9, 0.06), (30, 0.04)):
        patches += noise(rng, width, height, cells) * depth
    return tone * (1 + patches[..., None])


def _grass(width: int, height: int, rng: np.random.Generator) -> Canvas:
    tone = colour(rng, GREENS)
    canvas = Canvas(_plain(tone * 0.6, width, height, rng))
    ground = Frame.canvas()
    side = max(width, height)
    lean = rng.normal(0, 0.3)
    for _ in range(int(rng.integers(60, 130))):
        at = ground.move(rng.uniform(0, width), rng.uniform(0.1, 1.4) * height)
        turned = at.turn(-DOWN + lean + rng.normal(0, 0.35))
        green = mix(tone, colour(rng, GREENS), 0.5) * rng.uniform(0.6, 1.2)
        long = turned.scale(side * rng.uniform(0.15, 0.5))
        blade(canvas, long, green, rng, rng.uniform(0.03, 0.08))
    return canvas


def _soil(width: int, height: int, rng: np.random.Generator) -> Canvas:
    tone = colour(rng, ('brown', 'umber', 'tan', 'stone'))
    canvas = Canvas(_plain(tone, width, height, rng))
    for _ in range(4):
        points = rng.uniform(0, 1, (60, 2)) * (width, height)
        crumb = tone * rng.uniform(0.6, 1.35)
        size = max(width, height) * rng.uniform(0.004, 0.016)
        dots(canvas, Frame.canvas(), points, size, crumb)
    return canvas


def _sky(width: int, height: int, rng: np.random.Generator) -> Canvas:
    high = mix(colour(rng, ('blue', 'slate', 'lilac')), np.ones(3), 0.3)
    low = colour(rng, ('white', 'cream', 'salmon', 'lilac'))
    down = np.linspace(0, 1, height)[:, None, None] ** rng.uniform(0.6, 1.6)
    clouds = noise(rng, width, height, 5) + noise(rng, width, height, 11) / 2
    veil = np.clip(clouds * 0.35, 0, 0.7)[..., None] * rng.uniform(0, 1)
    sky = high + (low - high) * down
    return Canvas(sky + (1 - sky) * veil)


def _bokeh(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """Far out of focus: soft discs of everything behind."""
    tone = colour(rng, (*GREENS, 'slate', 'umber', 'violet', 'wine'))
    canvas = Canvas(_plain(tone * 0.7, width, height, rng))
    side = max(width, height)
    tones = (*GREENS, *BLOOMS)
    for _ in range(int(rng.integers(12, 35))):
        at = Frame.canvas().move(rng.uniform(0, width), rng.uniform(0, height))
        disc = at.scale(side * rng.uniform(0.03, 0.12))
        spot = colour(rng, tones)
        fill(canvas, disc, circle(), spot, rng.uniform(0.25, 0.8))
    return Canvas(soften(canvas.rgb, side * rng.uniform(0.008, 0.03)))


def _table(width: int, height: int, rng: np.random.Generator) -> Canvas:
    """Boards of wood with their grain."""
    tone = colour(rng, ('tan', 'brown', 'cream', 'stone', 'umber'))
    boards = int(rng.integers(2, 6))
    warp = noise(rng, width, height, 3) * 0.25
    down = np.linspace(0, boards, height)[:, None] + warp * 0.1
    grain = np.sin((down + warp * 0.3) * rng.uniform(40, 70))
    grain = grain * 0.05 + noise(rng, width, height * 12, 3)[::12] * 0.03
    plain = np.linspace(0, boards, height) % 1
    gap = np.where(plain < 0.03, 0.45, 1.0)[:, None]
    each = rng.normal(1, 0.07, boards + 1)
    board = each[np.linspace(0, boards, height).astype(int)][:, None]
    wood = tone * ((1 + grain) * gap * board)[..., None]
    return Canvas(np.rot90(wood) if width == height else wood)


def _wall(width: int, height: int, rng: np.random.Generator) -> Canvas:
    tone = colour(rng, (*BLOOMS, 'slate', 'stone', 'sage'))
    canvas = Canvas(_plain(tone, width, height, rng))
    if rng.random() < 0.4:
        rows = int(rng.integers(4, 9))
        y = np.arange(rows + 1) * height / rows
        joints = [np.array([(0, at), (width, at)]) for at in y]
        step = height / rows * 2
        for row, at in enumerate(y):
            for x in np.arange(row % 2 * step / 2, width, step):
                joints.append(np.array([(x, at), (x, at + step / 2)]))
        joint = mix(tone, colour(rng, 'stone'), 0.6) * rng.uniform(0.6, 1.2)
        strokes(canvas, Frame.canvas(), joints, step * 0.04, joint)
    return canvas


def _hedge(width: int, height: int, rng: np.random.Generator) -> Canvas:
    tone = colour(rng, GREENS)
    canvas = Canvas(_plain(tone * 0.4, width, height, rng))
    side = max(width, height)
    for k in range(40):
        at = Frame.canvas().move(rng.uniform(0, width), rng.uniform(0, height))
        place = at.turn(rng.uniform(0, 6.3))
        green = mix(tone, colour(rng, GREENS), 0.4) * (0.5 + k / 60)
        long = place.scale(side * rng.uniform(0.1, 0.25))
        leaf(canvas, long, green, rng)
    return canvas


GROUNDS: tuple[Ground, ...] = (
    _grass,
    _soil,
    _sky,
    _bokeh,
    _bokeh,
    _table,
    _wall,
    _hedge,
)


def _light(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sun from one side, the shade of a tree, the colour of the hour."""
    height, width = rgb.shape[:2]
    x, y = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32),
        np.linspace(-1, 1, height, dtype=np.float32),
    )
    across, down = _heading(rng) * rng.uniform(0, 0.3)
    light = 1 + across * x + down * y
    if rng.random() < 0.3:
        shade = np.clip(noise(rng, width, height, rng.uniform(3, 7)) * 3, 0, 1)
        light = light * (1 - rng.uniform(0.2, 0.45) * shade)
    light = light - rng.uniform(0, 0.2) * (x**2 + y**2)
    cast = rng.normal(1, 0.07, 3)
    return rgb * (light[..., None] * cast)


def _expose(
    rgb: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """What lens, sensor and camera do."""
    contrast = rng.uniform(0.75, 1.2)
    exposure = np.exp(rng.normal(0.08, 0.15))
    rgb = np.clip((rgb * exposure - 0.5) * contrast + 0.5, 0, 1)
    rgb = rgb ** np.exp(rng.normal(0, 0.12))
    gray = rgb.mean(2, keepdims=True)
    rgb = gray + (rgb - gray) * rng.uniform(0.7, 1.15)
    width, height = size
    rgb = rgb.reshape(height, FINER, width, FINER, 3).mean((1, 3))
    rgb = soften(rgb, max(0.0, rng.normal(0.15, 0.45)))
    rgb = rgb + rng.normal(0, rng.uniform(0, 0.03), rgb.shape)
    return Image.fromarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))
