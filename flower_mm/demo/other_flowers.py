"""Flowers that are none of the five, seen from above and from the side."""

from collections.abc import Sequence

import numpy as np

from flower_mm.demo.colours import GREENS, NAMED, colour, mix
from flower_mm.demo.kinds import Kind, Painter
from flower_mm.demo.paint import Canvas, Frame, dots, fill, strokes
from flower_mm.demo.parts import (
    DOWN,
    Form,
    ball,
    blade,
    circle,
    head,
    leaf,
    petal,
    ring,
    seeds,
    stem,
)

HUES = (
    'white',
    'cream',
    'yellow',
    'gold',
    'orange',
    'salmon',
    'pink',
    'magenta',
    'red',
    'wine',
    'lilac',
    'violet',
    'blue',
)


def bloom(
    count: tuple[int, int],
    width: float,
    rise: float,
    fall: float,
    notch: float = 0.0,
    bend: float = 0.0,
    rows: Sequence[float] = (1.0,),
    heart: float = 0.2,
    hearts: Sequence[str] = ('gold', 'lime'),
    throat: float = 0.35,
    stamens: int = 0,
    spots: int = 0,
) -> Painter:
    """A painter of flowers that are petals in rows around a heart.

    `width` is how much of its share of the circle a petal takes, and
    `throat` how much the foot of a petal differs from its tip.
    """

    def paint(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
        tip = colour(rng, HUES)
        foot = mix(tip, colour(rng, HUES), throat)
        number = int(rng.integers(count[0], count[1] + 1))
        form = Form(
            width * 2 * np.sin(np.pi / number) * rng.uniform(0.88, 1.12),
            rise * rng.uniform(0.85, 1.15),
            fall * rng.uniform(0.85, 1.15),
            bend,
            notch,
        )
        for k, radius in enumerate(rows):
            tone = 0.85 + 0.2 * (k + 1) / len(rows)
            ring(
                canvas,
                frame,
                number,
                form,
                foot * tone,
                tip * tone,
                rng,
                radius,
            )
        if spots:
            around = rng.uniform(0, 6.3, spots)
            far = rng.uniform(0.25, 0.6, spots)
            points = np.stack([np.cos(around), np.sin(around)], 1)
            dots(canvas, frame, points * far[:, None], 0.02, tip * 0.35)
        if heart:
            middle = colour(rng, hearts)
            light = mix(middle, np.ones(3), 0.3)
            head(canvas, frame.scale(heart), middle * 0.8, light, rng, 40)
        if stamens:
            _stamens(canvas, frame, stamens, heart, rng)

    return paint


def _stamens(
    canvas: Canvas,
    frame: Frame,
    number: int,
    heart: float,
    rng: np.random.Generator,
) -> None:
    angles = np.linspace(0, 2 * np.pi, number, endpoint=False)
    far = heart * 0.6 + rng.uniform(0.16, 0.3, number)
    ends = np.stack([np.cos(angles), np.sin(angles)], 1) * far[:, None]
    thread = colour(rng, ('white', 'cream', 'wine', 'lime'))
    lines = [np.array([end * 0.2, end]) for end in ends]
    strokes(canvas, frame, lines, 0.016, thread)
    dots(canvas, frame, ends, 0.035, colour(rng, ('gold', 'umber', 'wine')))


def pansy(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, other = colour(rng, HUES), colour(rng, HUES)
    face = colour(rng, ('violet', 'umber', 'wine', 'black'))
    wide = Form(0.95, 0.6, 0.25)
    for angle, size, tone, dark in (
        (-2.1, 1.0, other, 0.0),
        (-1.0, 1.0, other, 0.0),
        (-2.9, 0.9, hue, 0.8),
        (-0.25, 0.9, hue, 0.8),
        (DOWN, 0.95, hue, 0.9),
    ):
        turned = frame.turn(angle + rng.normal(0, 0.08)).scale(size)
        petal(canvas, turned, wide, tone * 0.9, tone, rng)
        if dark:
            blot = Form(0.5, 0.6, 0.5)
            petal(canvas, turned.scale(0.6), blot, face, face, rng, 0.2, 0)
    ball(canvas, frame.scale(0.09), np.array(NAMED['yellow']))


def cornflower(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, HUES)
    trumpet = Form(0.22, 2.2, 0.3, 0, 0.25)
    for _ in range(int(rng.integers(8, 13))):
        turned = frame.turn(rng.uniform(0, 6.3))
        for way in (-0.28, 0, 0.28):
            tip = turned.move(0.45, 0).turn(way).scale(0.5)
            petal(canvas, tip, Form(0.45, 0.8, 0.7), hue * 0.8, hue, rng)
        petal(canvas, turned.scale(0.7), trumpet, hue * 0.5, hue * 0.9, rng)
    dark = mix(hue, colour(rng, 'violet'), 0.5) * 0.7
    ends = seeds(30) * 0.35
    strokes(canvas, frame, [np.array([e * 0.3, e]) for e in ends], 0.03, dark)
    dots(canvas, frame, ends, 0.03, mix(dark, np.ones(3), 0.4))


def passion(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, crown = colour(rng, HUES), colour(rng, ('violet', 'blue', 'wine'))
    ring(canvas, frame, 10, Form(0.34, 0.6, 0.4), hue * 0.8, hue, rng)
    for reach, tone in ((0.78, crown), (0.5, mix(crown, np.ones(3), 0.7))):
        angles = np.linspace(0, 2 * np.pi, 60) + rng.uniform(0, 1)
        ends = np.stack([np.cos(angles), np.sin(angles)], 1) * reach
        hairs = [np.array([end * 0.2, end]) for end in ends]
        strokes(canvas, frame, hairs, 0.022, tone)
    ball(canvas, frame.scale(0.2), colour(rng, ('lime', 'cream')))
    ring(canvas, frame, 5, Form(0.3, 1, 0.3), crown, crown, rng, 0.38)


def cluster(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Hydrangea: a ball of flowers with four petals."""
    hue = colour(rng, HUES)
    fill(canvas, frame, circle(0.85), hue * 0.5)
    for x, y in rng.permutation(seeds(int(rng.integers(22, 34)))) * 0.8:
        tone = hue * rng.uniform(0.8, 1.12)
        small = frame.move(x, y).scale(rng.uniform(0.22, 0.28))
        ring(canvas, small, 4, Form(0.95, 0.7, 0.4), tone * 0.8, tone, rng)
        ball(canvas, small.scale(0.14), colour(rng, 'cream'), shadow=0)


def clover_head(
    canvas: Canvas, frame: Frame, rng: np.random.Generator
) -> None:
    hue = colour(rng, HUES)
    pale = mix(hue, np.ones(3), 0.6)
    fill(canvas, frame, circle(0.7), hue * 0.6)
    for x, y in seeds(70)[::-1]:
        turned = frame.move(x * 0.45, y * 0.45).turn(np.arctan2(y, x))
        floret = Form(0.3, 0.7, 0.8)
        petal(canvas, turned.scale(0.5), floret, hue * 0.85, pale, rng)


def spike(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Lavender: little flowers up a stem."""
    hue = colour(rng, HUES)
    stem(canvas, frame, colour(rng, GREENS), rng, 4, 0.06, 0.1)
    for y in np.linspace(-1, 0.9, int(rng.integers(9, 14))):
        thick = 0.2 + 0.2 * (y + 1)
        for turn in rng.permutation([-2.6, -2.1, -1.57, -1.0, -0.5]):
            at = frame.move(0, y).turn(turn + rng.normal(0, 0.1))
            tone = hue * rng.uniform(0.7, 1.1)
            bud = Form(0.5, 0.8, 0.35)
            petal(canvas, at.scale(thick), bud, tone * 0.7, tone, rng)


def bell(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Bellflower: it hangs from a bowed stem, its rim turned out."""
    hue = colour(rng, HUES)
    bow = np.linspace(0, np.pi * 0.9, 16)
    line = np.stack([0.8 - 0.8 * np.cos(bow), -0.8 - np.sin(bow) * 0.5], 1)
    long = np.concatenate([line, [[1.7, 4]]])
    strokes(canvas, frame, [long], 0.08, colour(rng, GREENS))
    top = frame.move(0, -0.85)
    for lean in (-0.3, 0.3, 0):
        lobe = Form(0.62, 0.28, 0.35, lean * 0.5)
        turned = top.turn(DOWN - lean * 0.6).scale(1.75)
        petal(canvas, turned, lobe, hue * 0.8, hue * (1.05 - abs(lean)), rng)
    for x in (-0.45, 0, 0.45):
        at = frame.move(x, 0.65).turn(DOWN - x).scale(0.36)
        petal(canvas, at, Form(1.1, 0.3, 0.9), hue * 0.9, hue * 1.1, rng)
    cap = frame.move(0, -0.85).scale(0.3, 0.18)
    ball(canvas, cap, colour(rng, GREENS))


def iris(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, other = colour(rng, HUES), colour(rng, HUES)
    stem(canvas, frame, colour(rng, GREENS), rng, 4, 0.12, 0.1)
    for lean, form in (
        (-0.45, Form(0.6, 0.8, 0.25, 0.2)),
        (0.45, Form(0.6, 0.8, 0.25, -0.2)),
        (0.0, Form(0.7, 0.8, 0.25)),
    ):
        petal(canvas, frame.turn(-DOWN + lean), form, other * 0.8, other, rng)
    for lean in (-1.25, 1.25, 0.0):
        form = Form(0.72, 1.1, 0.25, 0.3 * lean)
        low = frame.turn(DOWN + lean)
        petal(canvas, low, form, hue * 0.7, hue, rng, 0.12)
        beard = Form(0.16, 0.5, 0.5, 0.12 * lean)
        gold = np.array(NAMED['gold'])
        petal(canvas, low.scale(0.55), beard, gold, gold, rng, 0.1, 0)


def calla(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, green = colour(rng, HUES), colour(rng, GREENS)
    foot = frame.move(0, 0.95)
    stem(canvas, foot, green, rng, 4, 0.2, 0.1)
    up = foot.turn(-DOWN)
    back = Form(0.75, 0.7, 0.5, rng.normal(0, 0.12))
    petal(canvas, up.scale(1.95), back, mix(hue, green, 0.3), hue, rng)
    gold = colour(rng, ('gold', 'orange'))
    rod = up.move(0.5, 0).scale(0.95)
    petal(canvas, rod, Form(0.16, 0.2, 0.2), gold * 0.8, gold, rng)
    wrap = Form(0.75, 0.9, 0.35, rng.choice([-0.3, 0.3]))
    petal(canvas, up.scale(1.1), wrap, mix(hue, green, 0.3), hue * 1.05, rng)


def lotus(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """From the side: a fan of pointed petals, low and wide."""
    hue = colour(rng, HUES)
    foot = mix(hue, np.ones(3), 0.4)
    low = frame.move(0, 0.5)
    for size, spread, tone in ((1.35, 1.0, 0.75), (1.15, 1.3, 0.95)):
        for lean in np.linspace(-spread, spread, 7)[[3, 2, 4, 1, 5, 0, 6]]:
            turned = low.turn(-DOWN + lean).scale(size)
            form = Form(0.36, 0.7, 0.75, -0.1 * lean)
            petal(canvas, turned, form, foot * tone, hue * tone, rng)
    for lean in (-1.45, 1.45, -0.75, 0.75, 0):
        turned = low.turn(-DOWN + lean).scale(0.85)
        petal(canvas, turned, Form(0.45, 0.6, 0.75), foot, hue, rng)


def thistle(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, green = colour(rng, HUES), colour(rng, GREENS)
    stem(canvas, frame, green, rng, 4, 0.12, 0.15)
    for _ in range(60):
        lean = rng.uniform(-0.75, 0.75)
        at = frame.move(0, 0.25).turn(-DOWN + lean)
        tone = hue * rng.uniform(0.6, 1.15)
        blade(canvas, at.scale(rng.uniform(1.0, 1.25)), tone, rng, 0.06)
    bulb = frame.move(0, 0.45)
    ball(canvas, bulb.scale(0.46, 0.5), green)
    for x, y in seeds(34):
        at = bulb.move(x * 0.42, y * 0.46).turn(np.arctan2(y, x) * 0.3 - DOWN)
        petal(
            canvas, at.scale(0.2), Form(0.5, 0.4, 1), green, green * 1.3, rng
        )


def allium(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """A ball of little stars, each on a stalk of its own."""
    hue = colour(rng, HUES)
    points = seeds(int(rng.integers(45, 65))) * 0.92
    stalk = colour(rng, GREENS)
    strokes(
        canvas, frame, [np.array([p * 0, p]) for p in points], 0.012, stalk
    )
    for x, y in rng.permutation(points):
        star = frame.move(x, y).scale(rng.uniform(0.11, 0.15))
        tone = hue * rng.uniform(0.75, 1.15)
        ring(canvas, star, 6, Form(0.4, 0.6, 0.9), tone, tone, rng, shadow=0)
        ball(canvas, star.scale(0.25), tone * 0.6, shadow=0)


def foxglove(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, HUES)
    stem(canvas, frame.move(0, -1), colour(rng, GREENS), rng, 5, 0.09, 0.1)
    for y in np.linspace(-0.95, 0.7, 7):
        size = 0.3 + 0.2 * (y + 1)
        for way in (-1, 1):
            at = frame.move(0, y).turn(DOWN - way * rng.uniform(0.6, 0.9))
            tube = Form(0.55, 0.7, 0.16)
            petal(canvas, at.scale(size), tube, hue * 0.75, hue, rng)
            mouth = at.move(size * 0.85, 0).scale(size * 0.12, size * 0.24)
            fill(canvas, mouth, circle(), hue * 0.45)


def sprig(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Forget-me-nots: small flat flowers on a branching stem."""
    hue, green = colour(rng, HUES), colour(rng, GREENS)
    foot = np.array([0, 1.0])
    for x, y in rng.permutation(seeds(int(rng.integers(8, 13)))) * 0.75:
        line = np.array([foot, (x * 0.4, 0.3), (x, y)])
        strokes(canvas, frame, [line], 0.035, green)
        small = frame.move(x, y).scale(rng.uniform(0.22, 0.3))
        ring(canvas, small, 5, Form(1.0, 0.7, 0.25), hue * 0.9, hue, rng)
        ball(canvas, small.scale(0.2), np.array(NAMED['yellow']), shadow=0)
    leaf(canvas, frame.move(*foot).turn(-0.5).scale(0.7), green, rng)


FLOWERS: dict[str, Kind] = {
    'poppy': Kind(
        bloom(
            (4, 5),
            1.5,
            0.7,
            0.18,
            heart=0.17,
            hearts=('black', 'lime'),
            stamens=26,
        )
    ),
    'buttercup': Kind(bloom((5, 5), 1.0, 0.8, 0.25, heart=0.17, stamens=14)),
    'cherry_blossom': Kind(
        bloom(
            (5, 5),
            0.95,
            0.8,
            0.3,
            notch=0.16,
            heart=0.09,
            throat=0.5,
            stamens=12,
        )
    ),
    'lily': Kind(
        bloom((6, 6), 0.5, 0.9, 1.0, bend=0.12, heart=0.0, stamens=6, spots=60)
    ),
    'clematis': Kind(
        bloom((7, 8), 1.0, 0.8, 0.8, heart=0.1, stamens=24, throat=0.6)
    ),
    'cosmos': Kind(bloom((8, 8), 0.9, 0.9, 0.2, notch=0.08, heart=0.15)),
    'periwinkle': Kind(
        bloom((5, 5), 0.9, 1.1, 0.3, bend=0.35, heart=0.06, throat=0.7)
    ),
    'magnolia': Kind(
        bloom((5, 6), 0.9, 1.3, 0.35, rows=(1.0, 0.72), heart=0.14, throat=0.6)
    ),
    'gentian': Kind(
        bloom((5, 5), 0.85, 0.35, 0.9, heart=0.08, hearts=('white', 'blue'))
    ),
    'anemone': Kind(
        bloom(
            (7, 9),
            1.3,
            0.6,
            0.25,
            heart=0.2,
            hearts=('black', 'violet'),
            stamens=30,
            throat=0.2,
        )
    ),
    'dahlia': Kind(
        bloom(
            (15, 18),
            1.1,
            0.7,
            0.6,
            rows=(1.0, 0.84, 0.68, 0.52, 0.37, 0.23),
            heart=0.0,
        )
    ),
    'zinnia': Kind(
        bloom((12, 15), 1.2, 0.7, 0.2, rows=(1.0, 0.76, 0.54), heart=0.22)
    ),
    'pansy': Kind(pansy, turn=0.6),
    'cornflower': Kind(cornflower),
    'passion_flower': Kind(passion),
    'hydrangea': Kind(cluster),
    'clover_head': Kind(clover_head),
    'lavender': Kind(spike, turn=0.7, flat=0.8, stalk=0),
    'bellflower': Kind(bell, turn=0.5, flat=0.8, stalk=0),
    'iris': Kind(iris, turn=0.5, flat=0.8, stalk=0),
    'calla': Kind(calla, turn=0.6, flat=0.8, stalk=0),
    'lotus': Kind(lotus, turn=0.5, flat=0.7, stalk=0.3),
    'thistle': Kind(thistle, turn=0.5, flat=0.8, stalk=0),
    'allium': Kind(allium),
    'foxglove': Kind(foxglove, turn=0.5, flat=0.8, stalk=0),
    'forget_me_not': Kind(sprig, turn=0.6, flat=0.8, stalk=0),
}
