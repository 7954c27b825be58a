"""The five kinds, each as it grows; their colours are shared on purpose.

A painter gets a frame in which the flower fills the circle of radius 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flower_mm.demo.colours import GREENS, NAMED, colour, mix
from flower_mm.demo.paint import Canvas, Frame, dots, fill, strokes
from flower_mm.demo.parts import (
    DOWN,
    GOLDEN,
    Form,
    ball,
    circle,
    dome,
    head,
    leaf,
    petal,
    ring,
    seeds,
    stem,
)

Painter = Callable[[Canvas, Frame, np.random.Generator], None]


@dataclass(frozen=True)
class Kind:
    """How a thing is painted and how it may lie in the picture."""

    paint: Painter
    turn: float = np.pi  # turned by up to this, either way
    flat: float = 0.55  # seen from the side, this little of its height
    stalk: float = 0.6  # how often there is a stem below it


def daisy(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    names = ('white', 'white', 'white', 'pink', 'yellow', 'lilac', 'cream')
    tip = colour(rng, (*names, 'salmon', 'orange', 'magenta'))
    base = mix(tip, colour(rng, ('white', 'yellow', 'pink')), 0.35)
    count = int(rng.integers(15, 32))
    form = Form(
        rng.uniform(0.72, 0.95) * 2 * np.pi / count * 0.85,
        rng.uniform(0.4, 0.7),
        rng.uniform(0.16, 0.28),
    )
    if rng.random() < 0.5:
        ring(canvas, frame, count, form, base * 0.85, tip * 0.9, rng)
    ring(canvas, frame, count, form, base, tip, rng, 0.96, streaks=0.03)
    dark = colour(rng, ('gold', 'gold', 'gold', 'orange', 'lime'))
    heart = frame.scale(rng.uniform(0.20, 0.29))
    head(canvas, heart, dark * 0.85, mix(dark, np.ones(3), 0.25), rng, 60)


def dandelion(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    if rng.random() < 0.35:
        _clock(canvas, frame, rng)
        return
    outer = colour(rng, ('yellow', 'yellow', 'gold', 'orange', 'cream'))
    inner = mix(outer, colour(rng, ('gold', 'orange')), 0.5) * 0.92
    count = int(rng.integers(150, 210))
    fill(canvas, frame, circle(0.75), inner * 0.6)
    # From the outside in, so that the short rays of the middle lie on top.
    for k in range(count):
        share = 1 - k / count
        reach = (0.28 + 0.72 * share**0.8) * rng.uniform(0.86, 1.0)
        start = max(0.0, reach - rng.uniform(0.35, 0.5))
        wide = rng.uniform(0.03, 0.05)
        tone = mix(inner, outer, share) * rng.uniform(0.78, 1.1)
        teeth = np.array(
            [
                (start, -wide * 0.4),
                (reach, -wide),
                (reach - 0.03, -wide * 0.4),
                (reach + 0.01, 0),
                (reach - 0.03, wide * 0.4),
                (reach, wide),
                (start, wide * 0.4),
            ]
        )
        angle = k * GOLDEN + rng.normal(0, 0.12)
        fill(canvas, frame.turn(angle), teeth, tone)
    curls = seeds(40) * 0.3
    dots(canvas, frame, curls, 0.03, inner * 0.75)
    dots(canvas, frame, curls - 0.012, 0.018, outer)


def _clock(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """The dandelion gone to seed: a ball of parasols."""
    silk = mix(np.array(NAMED['white']), colour(rng, 'tan'), 0.15)
    haze = rng.uniform(0.2, 0.35)
    fill(canvas, frame, circle(0.93), dome(silk, 0.1, 0.2), haze)
    points = seeds(int(rng.integers(70, 110)))
    # Seeds at the front of a ball crowd towards its rim in the picture.
    far = np.hypot(points[:, 0], points[:, 1])[:, None]
    points = points / far * np.sin(far * np.pi / 2) * 0.86
    points = points + rng.normal(0, 0.02, points.shape)
    stalks = [np.array([p * 0.1, p]) for p in points]
    strokes(canvas, frame, stalks, 0.011, silk * 0.62, 0.6)
    hairs = []
    for p in points:
        angles = rng.uniform(0, 6.3) + np.arange(9) * 2 * np.pi / 9
        ends = np.stack([np.cos(angles), np.sin(angles)], 1)
        hairs += [np.array([p, p + e * 0.16]) for e in ends]
    strokes(canvas, frame, hairs, 0.010, silk, 0.75)
    dots(canvas, frame, points, 0.018, silk * 1.05)
    brown = colour(rng, ('brown', 'tan'))
    ball(canvas, frame.scale(rng.uniform(0.12, 0.17)), brown)


def rose(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    names = ('red', 'pink', 'white', 'yellow', 'salmon', 'wine', 'magenta')
    hue = colour(rng, (*names, 'cream', 'orange', 'lilac'))
    deep = mix(hue, colour(rng, ('red', 'orange', 'wine')), 0.25) * 0.5
    light = mix(hue, np.ones(3), 0.18)
    fill(canvas, frame, circle(0.8), deep)
    count = int(rng.integers(17, 25))
    lead = rng.uniform(0, 6.3)
    for k in range(count):
        share = 1 - k / count
        reach = 0.12 + 0.88 * share**0.85
        size = reach * rng.uniform(0.95, 1.04)
        form = Form(rng.uniform(1.35, 1.6), 0.55, rng.uniform(0.2, 0.3))
        place = frame.turn(lead + k * GOLDEN).scale(size)
        _rolled(canvas, place, form, deep, hue, light, rng)
    # The bud in the middle is one petal wound into a spiral.
    turns = np.linspace(0, 5 * np.pi, 50)
    away = 0.02 + 0.16 * turns / turns[-1]
    coil = np.stack([np.cos(turns) * away, np.sin(turns) * away], 1)
    bud = frame.turn(lead)
    fill(canvas, bud, circle(0.19), hue * 0.8)
    strokes(canvas, bud, [coil], 0.028, deep * 0.8)
    strokes(canvas, bud.move(-0.01, -0.01), [coil * 1.08], 0.014, light)


def _rolled(
    canvas: Canvas,
    frame: Frame,
    form: Form,
    deep: np.ndarray,
    hue: np.ndarray,
    light: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """A broad petal, dark where it goes under, its rim rolled to the light."""
    outline = form.outline()
    around = frame.move(0.5, 0).scale(1.09, 1.07).move(-0.47, 0)
    fill(canvas, around, outline, deep * 0.5, 0.5)
    tilt = rng.uniform(-0.12, 0.12)
    curl = rng.uniform(0.80, 0.88)

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        rim = np.hypot(u - 0.25, v * 0.9) / 0.75
        up = np.clip((rim - 0.25) / (curl - 0.25), 0, 1)[:, None]
        tone = deep + (hue - deep) * up**0.8
        rolled = np.clip((rim - curl) / 0.08, 0, 1)[:, None]
        tone = tone + (light - tone) * rolled * 0.8
        return tone * (1 + tilt * form.side(u, v))[:, None]

    fill(canvas, frame, outline, shader)


def sunflower(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    names = ('yellow', 'yellow', 'gold', 'gold', 'orange', 'cream', 'red')
    tip = colour(rng, (*names, 'salmon', 'wine', 'white'))
    base = mix(tip, colour(rng, ('orange', 'gold', 'wine')), 0.45)
    count = int(rng.integers(15, 24))
    form = Form(
        rng.uniform(0.28, 0.36), rng.uniform(0.9, 1.3), rng.uniform(0.6, 0.8)
    )
    for radius, tone in ((1.0, 0.85), (0.9, 1.0)):
        ring(
            canvas,
            frame,
            count,
            form,
            base * tone,
            tip * tone,
            rng,
            radius,
            0.09,
            0.07,
        )
    dark = colour(rng, ('umber', 'umber', 'brown', 'black', 'moss'), 0.03)
    light = mix(dark, colour(rng, ('gold', 'tan', 'orange')), 0.6)
    heart = frame.scale(rng.uniform(0.44, 0.56))
    head(canvas, heart, dark, light, rng, 190, rng.uniform(0.45, 0.7))


def tulip(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Seen from the side: a cup on a stem, with long leaves."""
    names = ('red', 'pink', 'white', 'yellow', 'orange', 'violet', 'magenta')
    hue = colour(rng, (*names, 'wine', 'cream', 'salmon', 'lilac'))
    foot = mix(hue, colour(rng, ('yellow', 'lime', 'white', 'red')), 0.3)
    green = colour(rng, GREENS)
    bottom = frame.move(0, 0.8)
    stem(canvas, bottom, green, rng, 5, 0.13, 0.12)
    for way in (-1, 1):
        if rng.random() < 0.7:
            low = bottom.move(0, rng.uniform(1.2, 2.6))
            long = Form(rng.uniform(0.16, 0.26), 0.5, 0.8, way * 0.18)
            lean = -DOWN + way * rng.uniform(0.12, 0.45)
            reach = rng.uniform(1.8, 2.8)
            leaf(canvas, low.turn(lean).scale(reach), green, rng, long)
    open_ = rng.uniform(0.0, 0.3)
    wide = rng.uniform(0.52, 0.66)

    def stand(lean: float, size: float, form: Form, tone: float) -> None:
        place = bottom.turn(-DOWN + lean).scale(size)
        petal(canvas, place, form, foot * tone, hue * tone, rng, 0.06, 0.4)

    back = Form(wide * 0.8, 0.5, 0.62)
    for lean in (-0.22 - open_ * 0.5, 0.22 + open_ * 0.5):
        stand(lean, rng.uniform(1.6, 1.75), back, 0.72)
    if rng.random() < 0.5:
        stand(rng.normal(0, 0.06), 1.72, back, 0.66)
    for way in rng.permutation([-1, 1]):
        bend = -way * rng.uniform(0.02, 0.14) + way * open_ * 0.5
        form = Form(wide, 0.42, rng.uniform(0.55, 0.75), bend)
        lean = way * (rng.uniform(0.26, 0.34) + open_ * 0.3)
        stand(lean, rng.uniform(1.6, 1.75), form, rng.uniform(0.86, 0.98))
    front = Form(wide * 1.1, 0.45, rng.uniform(0.5, 0.7))
    stand(rng.normal(0, 0.06), rng.uniform(1.4, 1.6), front, 1.06)


KINDS: dict[str, Kind] = {
    'daisy': Kind(daisy),
    'dandelion': Kind(dandelion, flat=0.65),
    'rose': Kind(rose, flat=0.65),
    'sunflower': Kind(sunflower),
    'tulip': Kind(tulip, turn=0.6, flat=0.85, stalk=0.0),
}
