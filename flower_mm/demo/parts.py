"""What flowers and their surroundings are made of: petals, discs, leaves."""

from dataclasses import dataclass, replace

import numpy as np

from flower_mm.demo.colours import mix
from flower_mm.demo.paint import Canvas, Frame, Shader, dots, fill, strokes

GOLDEN = np.pi * (3 - np.sqrt(5))  # the angle between two seeds of a head
DOWN = np.pi / 2  # the canvas counts rows from its top


@dataclass(frozen=True)
class Form:
    """The outline of a petal that lies along x from 0 to 1.

    Its half width rises like u**rise and falls to the tip like
    (1 - u)**fall: a fall near 1 is a pointed tip, one near 0.3 is round.
    """

    width: float
    rise: float = 0.6
    fall: float = 0.4
    bend: float = 0.0

    def half(self, u: np.ndarray) -> np.ndarray:
        peak = self.rise / (self.rise + self.fall)
        u = np.clip(u, 1e-4, 1 - 1e-4)
        return (
            self.width
            / 2
            * (u / peak) ** self.rise
            * ((1 - u) / (1 - peak)) ** self.fall
        )

    def outline(self, points: int = 16) -> np.ndarray:
        # Dense at both ends, where the outline turns.
        u = (1 - np.cos(np.linspace(0, np.pi, points))) / 2
        half = self.half(u)
        half[[0, -1]] = half[[1, -2]] * 0.5
        along = np.concatenate([u, u[::-1]])
        across = np.concatenate([half, -half[::-1]])
        across = across + self.bend * along**2
        return np.stack([along, across], 1)

    def side(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """How far from the middle to the edge: -1 .. 1."""
        return np.clip((v - self.bend * u**2) / self.half(u), -1, 1)


def petal(
    canvas: Canvas,
    frame: Frame,
    form: Form,
    base: np.ndarray,
    tip: np.ndarray,
    rng: np.random.Generator,
    streaks: float = 0.05,
    shadow: float = 0.3,
) -> None:
    """A petal with a gradient, streaks along it, and a shadow around it."""
    outline = form.outline()
    if shadow:
        around = frame.move(0.5, 0).scale(1.05, 1.16).move(-0.48, 0)
        fill(canvas, around, outline, mix(base, base * 0, 0.75), shadow)
    tilt, phase = rng.uniform(-0.13, 0.13), rng.uniform(0, 6)
    lines = rng.uniform(5, 9)

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        side = form.side(u, v)
        light = (
            1
            + tilt * side
            - 0.16 * side**2
            + streaks * np.sin(lines * side + phase)
        )
        blend = np.clip(u, 0, 1)[:, None]
        return (base + (tip - base) * blend) * light[:, None]

    fill(canvas, frame, outline, shader)


def ring(
    canvas: Canvas,
    frame: Frame,
    count: int,
    form: Form,
    base: np.ndarray,
    tip: np.ndarray,
    rng: np.random.Generator,
    radius: float = 1.0,
    loose: float = 0.06,
    streaks: float = 0.05,
    shadow: float = 0.3,
) -> None:
    """Petals all around; `loose` is how much they differ from each other."""
    angles = rng.uniform(0, 6.3) + 2 * np.pi * np.arange(count) / count
    angles = angles + rng.normal(0, loose, count) * 2.5 / np.sqrt(count)
    for angle in rng.permutation(angles):
        size = radius * (1 - abs(rng.normal(0, loose)))
        shaped = replace(form, bend=form.bend + rng.normal(0, loose))
        tone = 1 + rng.normal(0, 0.05)
        petal(
            canvas,
            frame.turn(angle).scale(size),
            shaped,
            base * tone,
            tip * tone,
            rng,
            streaks,
            shadow,
        )


def circle(radius: float = 1.0, points: int = 28) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def dome(
    colour: np.ndarray, edge: float = 0.35, glance: float = 0.25
) -> Shader:
    """A ball of radius 1 that is lit from the upper left."""

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        far = np.clip(u**2 + v**2, 0, 1)
        light = 1 - edge * far - glance * (u + v) * 0.5
        return colour * light[:, None]

    return shader


def ball(
    canvas: Canvas,
    frame: Frame,
    colour: np.ndarray,
    edge: float = 0.35,
    shadow: float = 0.3,
) -> None:
    if shadow:
        fill(canvas, frame.scale(1.1), circle(), colour * 0.25, shadow)
    fill(canvas, frame, circle(), dome(colour, edge))


def seeds(count: int) -> np.ndarray:
    """Points as the seeds of a flower head lie, from the middle outwards."""
    k = np.arange(count) + 0.5
    r = np.sqrt(k / count)
    return np.stack([r * np.cos(k * GOLDEN), r * np.sin(k * GOLDEN)], 1)


def head(
    canvas: Canvas,
    frame: Frame,
    dark: np.ndarray,
    light: np.ndarray,
    rng: np.random.Generator,
    count: int = 90,
    rim: float = 0.0,
) -> None:
    """A disc full of florets, the light ones from `rim` on outwards."""
    ball(canvas, frame, dark)
    points = seeds(count) * 0.95
    size = 1.1 / np.sqrt(count)
    far = np.hypot(points[:, 0], points[:, 1])
    inner, outer = points[far < rim], points[far >= rim]
    if len(inner):
        dots(canvas, frame, inner, size * 0.6, mix(dark, light, 0.25))
    if len(outer):
        dots(canvas, frame, outer, size * 0.75, mix(dark, light, 0.5))
        shine = outer - 0.25 * size
        dots(canvas, frame, shine, size * 0.42, light)


def leaf(
    canvas: Canvas,
    frame: Frame,
    colour: np.ndarray,
    rng: np.random.Generator,
    form: Form | None = None,
) -> None:
    """A leaf with veins, along x from 0 to 1."""
    form = form or Form(
        rng.uniform(0.25, 0.55),
        rng.uniform(0.5, 0.9),
        rng.uniform(0.6, 1.1),
        rng.normal(0, 0.15),
    )
    petal(canvas, frame, form, colour * 0.8, colour * 1.1, rng, 0.02)
    u = np.linspace(0, 0.95, 10)
    spine = np.stack([u, form.bend * u**2], 1)
    pale = mix(colour, np.ones(3), 0.25)
    strokes(canvas, frame, [spine], 0.018, pale, 0.7)
    veins = []
    for at in np.linspace(0.15, 0.75, 5):
        half = form.half(np.array([at + 0.1]))[0] * 0.8
        for way in (-1, 1):
            mid = form.bend * at**2
            vein = [(at, mid), (at + 0.14, mid + way * half)]
            veins.append(np.array(vein))
    strokes(canvas, frame, veins, 0.01, pale, 0.4)


def blade(
    canvas: Canvas,
    frame: Frame,
    colour: np.ndarray,
    rng: np.random.Generator,
    width: float = 0.06,
) -> None:
    """A blade of grass, along x from 0 to 1."""
    form = Form(width, 0.12, 0.7, rng.normal(0, 0.18))

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        light = 0.75 + 0.4 * u + 0.15 * form.side(u, v)
        return colour * light[:, None]

    fill(canvas, frame, form.outline(12), shader)


def stem(
    canvas: Canvas,
    frame: Frame,
    colour: np.ndarray,
    rng: np.random.Generator,
    length: float = 4.0,
    width: float = 0.1,
    bow: float = 0.2,
) -> None:
    """A stem that hangs from the middle of the frame, along y."""
    y = np.linspace(0, length, 14)
    x = rng.normal(0, bow) * (y / 2) ** 2 * 0.5
    for shift, wide, tone in ((0, 1, 0.72), (-0.2, 0.55, 1.05)):
        line = np.stack([x + shift * width, y], 1)
        strokes(canvas, frame, [line], width * wide, colour * tone)
