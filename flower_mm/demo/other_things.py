"""Leaves, fruits, animals and things, each with an outline of its own."""

import numpy as np

from flower_mm.demo.colours import GREENS, NAMED, colour, mix
from flower_mm.demo.kinds import Kind
from flower_mm.demo.other_flowers import HUES
from flower_mm.demo.paint import Canvas, Frame, dots, fill, strokes
from flower_mm.demo.parts import (
    DOWN,
    Form,
    ball,
    circle,
    leaf,
    petal,
    ring,
    seeds,
)

FOLIAGE = (*GREENS, 'red', 'orange', 'gold', 'tan', 'wine')


def maple(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, FOLIAGE)
    strokes(canvas, frame, [np.array([(0, 0.3), (0.1, 1.2)])], 0.05, hue * 0.7)
    low = frame.move(0, 0.4)
    for lean, size in ((-2.1, 0.6), (2.1, 0.6), (-1, 1.1), (1, 1.1), (0, 1.4)):
        lobe = low.turn(-DOWN + lean).scale(size)
        for side in (-0.7, 0.7):
            spur = lobe.move(0.4, 0).turn(side).scale(0.42)
            leaf(canvas, spur, hue, rng, Form(0.6, 0.5, 0.9))
        leaf(canvas, lobe, hue, rng, Form(0.45, 0.6, 1.0))


def fern(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, FOLIAGE)
    rib = np.array([(0, 1.1), (0.05, 0), (0, -1)])
    strokes(canvas, frame, [rib], 0.04, hue * 0.6)
    for y in np.linspace(0.9, -0.9, int(rng.integers(10, 15))):
        for way in (-1, 1):
            at = frame.move(0, y).turn(-DOWN + way * 1.1)
            size = 0.15 + 0.3 * (y + 1)
            petal(
                canvas,
                at.scale(size),
                Form(0.28, 0.4, 0.9, -0.15 * way),
                hue * 0.8,
                hue,
                rng,
            )


def shamrock(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, FOLIAGE)
    strokes(canvas, frame, [np.array([(0, 0), (0.2, 1.3)])], 0.06, hue * 0.8)
    count = int(rng.integers(3, 5))
    form = Form(0.95, 1.1, 0.3, 0, 0.2)
    ring(canvas, frame, count, form, mix(hue, np.ones(3), 0.3), hue, rng)


def ginkgo(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, FOLIAGE)
    strokes(canvas, frame, [np.array([(0, 0.4), (0.1, 1.3)])], 0.06, hue * 0.8)
    fan = Form(1.5, 1.4, 0.22, 0, 0.2)
    up = frame.move(0, 0.7).turn(-DOWN).scale(1.6)
    petal(canvas, up, fan, hue * 0.8, hue, rng, 0.1)
    leans = np.linspace(-0.6, 0.6, 15)
    ribs = [np.array([(0.05, 0), (0.8, 0.8 * np.tan(a))]) for a in leans]
    strokes(canvas, up, ribs, 0.008, hue * 0.75)


def oak(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, FOLIAGE)
    u = np.linspace(0, 1, 60)
    lobes = 1 + 0.35 * np.sin(u * np.pi * 2 * rng.integers(4, 7))
    half = 0.3 * np.sin(np.pi * u**0.8) * lobes
    outline = np.concatenate(
        [np.stack([u, half], 1), np.stack([u, -half], 1)[::-1]]
    )
    up = frame.move(0, 1).turn(-DOWN).scale(2)
    fill(canvas, up.move(0.01, 0.02), outline, hue * 0.3, 0.4)
    fill(canvas, up, outline, hue)
    ribs = [np.array([(-0.15, 0), (0.95, 0)])]
    for at in np.arange(0.15, 0.8, 0.13):
        ribs += [np.array([(at, 0), (at + 0.1, w * 0.2)]) for w in (-1, 1)]
    strokes(canvas, up, ribs, 0.015, hue * 0.7)


def citrus(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    peel = colour(rng, ('orange', 'yellow', 'lime', 'salmon', 'gold'))
    ball(canvas, frame, peel, 0.1)
    pith = mix(peel, np.ones(3), 0.8)
    fill(canvas, frame, circle(0.88), pith)
    count = int(rng.integers(8, 12))
    wedge = Form(2 * np.sin(np.pi / count) * 0.86, 0.9, 0.12)
    flesh = mix(peel, np.ones(3), 0.25)
    ring(canvas, frame, count, wedge, flesh, peel, rng, 0.84, 0, 0.1, 0)


def kiwi(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    flesh = colour(rng, ('lime', 'leaf', 'gold', 'moss'))
    ball(canvas, frame, colour(rng, ('brown', 'tan')), 0.1)

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        rays = 0.08 * np.sin(np.arctan2(v, u) * 24)
        return flesh * (0.85 + rays + 0.2 * np.hypot(u, v))[:, None]

    fill(canvas, frame, circle(0.92), shader)
    angles = np.linspace(0, 2 * np.pi, 26) + rng.normal(0, 0.05, 26)
    far = rng.uniform(0.4, 0.52, 26)[:, None]
    pips = np.stack([np.cos(angles), np.sin(angles)], 1) * far
    dots(canvas, frame, pips, 0.04, NAMED['black'])
    ball(canvas, frame.scale(0.27), mix(flesh, np.ones(3), 0.7), shadow=0)


def apple(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    skin = colour(rng, ('red', 'lime', 'yellow', 'wine', 'leaf'))
    for x in (-0.25, 0.25):
        ball(canvas, frame.move(x, 0.1).scale(0.7, 0.85), skin)
    ball(canvas, frame.move(0, 0.15).scale(0.75, 0.8), skin, shadow=0)
    dip = frame.move(0, -0.55).scale(0.22, 0.1)
    fill(canvas, dip, circle(), skin * 0.5)
    stalk = np.array([(0, -0.55), (0.1, -1)])
    strokes(canvas, frame, [stalk], 0.06, NAMED['brown'])
    green = colour(rng, GREENS)
    leaf(canvas, frame.move(0.05, -0.8).turn(-0.5).scale(0.6), green, rng)
    dots(canvas, frame, np.array([(-0.3, -0.2)]), 0.12, (1, 1, 1), 0.5)


def berry(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """A strawberry."""
    skin = colour(rng, ('red', 'wine', 'salmon', 'magenta', 'cream'))
    down = frame.move(0, -0.75).turn(DOWN).scale(1.75)
    petal(canvas, down, Form(1.0, 0.4, 0.55), skin, skin * 0.85, rng, 0.02)
    form = Form(0.9, 0.4, 0.55)
    pips = []
    for row, u in enumerate(np.linspace(0.14, 0.85, 8)):
        half = form.half(np.array([u]))[0] * 0.95
        step = np.arange(-half + row % 2 * 0.06, half, 0.13)
        pips += [(u, v) for v in step]
    dots(canvas, down, np.array(pips), 0.014, NAMED['gold'])
    cap = frame.move(0, -0.75).scale(0.6, 0.35)
    green = colour(rng, GREENS)
    ring(canvas, cap, 8, Form(0.4, 0.5, 0.9), green * 0.8, green, rng)


def cherries(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    skin = colour(rng, ('red', 'wine', 'black', 'gold'))
    green = colour(rng, GREENS)
    for x, y in ((-0.5, 0.5), (0.5, 0.6)):
        stalk = np.array([(0, -1), (x * 0.7, -0.3), (x, y - 0.3)])
        strokes(canvas, frame, [stalk], 0.045, green)
        round_ = frame.move(x, y).scale(0.42)
        ball(canvas, round_, skin)
        dots(canvas, round_, np.array([(-0.35, -0.4)]), 0.15, (1, 1, 1), 0.7)
    leaf(canvas, frame.move(0, -0.95).turn(0.3).scale(0.9), green, rng)


def grapes(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    skin = colour(rng, ('violet', 'lime', 'wine', 'blue', 'black'))
    top = np.array([(0, -0.7), (0, -1.1)])
    strokes(canvas, frame, [top], 0.08, NAMED['brown'])
    for row, number in enumerate((4, 5, 4, 3, 2, 1)):
        for k in range(number):
            x = (k - (number - 1) / 2) * 0.34 + rng.normal(0, 0.04)
            one = frame.move(x, -0.65 + row * 0.29).scale(0.21)
            ball(canvas, one, skin * rng.uniform(0.85, 1.15))
            dots(canvas, one, np.array([(-0.3, -0.4)]), 0.15, (1, 1, 1), 0.5)


def melon(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """A slice of a watermelon."""
    angles = np.linspace(0, np.pi, 30)
    half = np.stack([np.cos(angles), np.sin(angles)], 1)
    low = frame.move(0, -0.4)
    flesh = colour(rng, ('red', 'salmon', 'yellow', 'magenta'))
    for size, tone in (
        (1.0, colour(rng, ('pine', 'leaf'))),
        (0.92, colour(rng, ('lime', 'cream'))),
        (0.84, flesh),
    ):
        fill(canvas, low, half * size, tone)
    pips = rng.uniform((-0.6, 0.08), (0.6, 0.55), (14, 2))
    pips = pips[np.hypot(*pips.T) < 0.75]
    dots(canvas, low, pips, 0.035, NAMED['black'])


def butterfly(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, edge = colour(rng, HUES), colour(rng, ('umber', 'black', 'wine'))
    spread = rng.uniform(0.8, 1.1)
    big, small = Form(rng.uniform(0.6, 0.8), 0.9, 0.3), Form(0.7, 0.8, 0.3)
    for way in (-1, 1):
        for angle, form, size in ((0.75, small, 0.75), (-0.6, big, 1.05)):
            wing = frame.scale(way * spread, 1).turn(angle).scale(size)
            petal(canvas, wing, form, edge, edge, rng)
            petal(
                canvas,
                wing.move(0.06, 0).scale(0.82),
                form,
                edge,
                hue,
                rng,
                0.15,
                0,
            )
            eye = np.array([(0.72, 0.0)])
            dots(canvas, wing, eye, 0.09, edge)
            dots(canvas, wing, eye, 0.045, mix(hue, np.ones(3), 0.6))
    fill(canvas, frame.scale(0.07, 0.5), circle(), edge * 0.8)
    feelers = [np.array([(0, -0.4), (w * 0.3, -0.95)]) for w in (-1, 1)]
    strokes(canvas, frame, feelers, 0.025, edge)


def ladybird(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    shell = colour(rng, ('red', 'orange', 'yellow', 'wine'))
    black = np.array(NAMED['black'])
    legs = [
        np.array([(0, y), (w * 0.95, y + d)])
        for y, d in ((-0.4, -0.2), (0.1, 0), (0.5, 0.25))
        for w in (-1, 1)
    ]
    strokes(canvas, frame, legs, 0.07, black)
    ball(canvas, frame.move(0, -0.65).scale(0.4, 0.3), black)
    ball(canvas, frame.move(0, 0.1).scale(0.72, 0.82), shell)
    strokes(canvas, frame, [np.array([(0, -0.7), (0, 0.9)])], 0.04, black)
    spots = np.array([(0.3, -0.3), (0.4, 0.2), (0.22, 0.6)])
    for way in (-1, 1):
        dots(canvas, frame, spots * (way, 1), rng.uniform(0.1, 0.16), black)


def bee(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    fur = colour(rng, ('gold', 'orange', 'yellow', 'tan'))
    black = np.array(NAMED['black'])
    body = frame.scale(0.95, 0.5)

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        stripe = (np.sin(u * 13) > 0)[:, None]
        light = (1 - 0.3 * (u**2 + v**2) - 0.2 * v)[:, None]
        return np.where(stripe, fur, black) * light

    fill(canvas, body, circle(), shader)
    ball(canvas, frame.move(-0.85, 0).scale(0.3), black)
    silver = mix(np.ones(3), colour(rng, 'slate'), 0.2)
    for angle in (-1.1, -0.6, 1.1, 0.6):
        wing = frame.move(-0.2, 0).turn(angle).scale(1.1)
        fill(canvas, wing, Form(0.4, 0.9, 0.3).outline(), silver, 0.6)


def dragonfly(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, ('blue', 'red', 'leaf', 'violet', 'gold'))
    silver = mix(np.ones(3), hue, 0.3)
    for way in (-1, 1):
        for angle in (-0.25, 0.3):
            wing = frame.move(0, -0.4).scale(way, 1).turn(angle).scale(1.2)
            form = Form(0.26, 0.7, 0.25)
            fill(canvas, wing, form.outline(), silver, 0.7)
            rib = [np.array([(0, 0), (0.95, 0)])]
            strokes(canvas, wing, rib, 0.015, hue * 0.5)
    for y in np.linspace(-0.5, 1, 9):
        thick = 0.15 if y < -0.2 else 0.075
        ball(canvas, frame.move(0, y).scale(thick, 0.11), hue, shadow=0)
    ball(canvas, frame.move(0, -0.75).scale(0.2, 0.15), hue * 0.6)


def fish(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, fin = colour(rng, (*HUES, 'slate')), colour(rng, HUES)
    tail = frame.move(0.5, 0)
    for way in (-0.5, 0.5):
        petal(
            canvas,
            tail.turn(way).scale(0.65),
            Form(0.5, 1, 0.3),
            fin * 0.7,
            fin,
            rng,
            0.15,
        )
    back = frame.move(0.1, -0.25).turn(-1.1).scale(0.6)
    petal(canvas, back, Form(0.7, 0.7, 0.4), fin, fin * 0.8, rng, 0.15)
    ball(canvas, frame.move(-0.15, 0).scale(0.85, 0.48), hue)
    scales = seeds(60) * (0.6, 0.36)
    dots(canvas, frame, scales, 0.045, hue * 0.8)
    dots(canvas, frame, scales - 0.012, 0.035, hue * 1.1)
    dots(canvas, frame, np.array([(-0.72, -0.1)]), 0.09, (1, 1, 1))
    dots(canvas, frame, np.array([(-0.74, -0.1)]), 0.05, NAMED['black'])


def starfish(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, (*HUES, 'tan'))
    for k in range(5):
        arm = frame.turn(k * 2 * np.pi / 5)
        form = Form(0.5, 0.3, 0.7, rng.normal(0, 0.08))
        petal(canvas, arm, form, hue, hue * 0.9, rng, 0.02)
        u = np.linspace(0.05, 0.85, 9)
        knobs = np.stack([u, form.bend * u**2], 1)
        dots(canvas, arm, knobs, 0.035, mix(hue, np.ones(3), 0.5))


def snail(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    body, shell = colour(rng, ('tan', 'stone')), colour(rng, (*HUES, 'brown'))
    foot = frame.move(-1, 0.75).scale(2, 0.5)
    petal(canvas, foot, Form(0.7, 0.3, 0.8), body, body * 0.8, rng)
    horns = [np.array([(-0.8, 0.7), (x, 0.1)]) for x in (-1.0, -0.75)]
    strokes(canvas, frame, horns, 0.05, body)
    whorl(canvas, frame.move(0.15, 0.05).scale(0.75), shell)


def whorl(canvas: Canvas, frame: Frame, hue: np.ndarray) -> None:
    ball(canvas, frame, hue)
    turns = np.linspace(0.3, 6 * np.pi, 90)
    far = 0.95 * turns / turns[-1]
    coil = np.stack([np.cos(turns) * far, np.sin(turns) * far], 1)
    strokes(canvas, frame, [coil], 0.07, hue * 0.5)


def lollipop(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    one, other = colour(rng, HUES), colour(rng, HUES)
    stick = np.array([(0, 0.4), (0, 2.2)])
    strokes(canvas, frame, [stick], 0.1, NAMED['cream'])
    arms, twist = int(rng.integers(3, 7)), rng.uniform(3, 7)

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        wave = np.sin(arms * np.arctan2(v, u) + twist * np.hypot(u, v))
        light = (1 - 0.2 * (u + v) * 0.5)[:, None]
        return np.where((wave > 0)[:, None], one, other) * light

    fill(canvas, frame.scale(0.8), circle(), shader)


def mushroom(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    cap = colour(rng, ('red', 'brown', 'tan', 'orange', 'cream', 'wine'))
    pale = colour(rng, ('cream', 'white'))
    stalk = frame.move(0, 1.05).turn(-DOWN).scale(1.3)
    petal(canvas, stalk, Form(0.4, 0.12, 0.12), pale * 0.8, pale, rng)
    angles = np.linspace(np.pi, 2 * np.pi, 24)
    high = rng.uniform(0.7, 1.0)
    dome = np.stack([np.cos(angles), np.sin(angles) * high], 1)
    top = frame.move(0, 0.05)
    fill(canvas, top.scale(1, 0.2), circle(), pale * 0.65)

    def shader(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return cap * (1 - 0.25 * u - 0.3 * v - 0.3)[:, None]

    fill(canvas, top, dome, shader)
    if rng.random() < 0.6:
        spots = rng.uniform((-0.7, -0.7), (0.7, -0.1), (12, 2))
        spots = spots[np.hypot(*spots.T) < 0.75]
        dots(canvas, top, spots, 0.07, pale)


def scallop(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, (*HUES, 'tan'))
    low = frame.move(0, 0.85)
    for way in (-1, 1):
        ear = low.turn(-DOWN + way * 1.1).scale(0.5)
        petal(canvas, ear, Form(0.5, 0.3, 0.3), hue, hue * 0.8, rng)
    for lean in np.linspace(-0.8, 0.8, 11):
        rib = low.turn(-DOWN + lean).scale(1.85 - 0.5 * lean**2)
        petal(canvas, rib, Form(0.2, 1.3, 0.12), hue * 0.7, hue, rng)


def feather(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, tip = colour(rng, (*HUES, 'slate')), colour(rng, (*HUES, 'black'))
    up = frame.move(0, 1).turn(-DOWN).scale(2)
    form = Form(0.36, 0.4, 0.5, rng.normal(0, 0.1))
    barbs = []
    for u in np.linspace(0.1, 0.95, 60):
        half, mid = form.half(np.array([u]))[0], form.bend * u**2
        for way in (-1, 1):
            reach = half * rng.uniform(0.8, 1.1)
            barbs.append(np.array([(u, mid), (u + 0.09, mid + way * reach)]))
    strokes(canvas, up, barbs[:80], 0.014, hue)
    strokes(canvas, up, barbs[80:], 0.014, tip)
    u = np.linspace(-0.15, 0.98, 12)
    shaft = np.stack([u, form.bend * u**2], 1)
    strokes(canvas, up, [shaft], 0.02, NAMED['cream'])


def pinecone(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    wood = colour(rng, ('brown', 'tan', 'umber', 'stone'))
    egg = frame.scale(0.68, 1)
    ball(canvas, egg.scale(0.9), wood * 0.5)
    for row, y in enumerate(np.linspace(-0.85, 0.85, 9)):
        half = np.sqrt(1 - y * y) * 0.9
        for x in np.linspace(-half, half, 5) + (row % 2) * half / 5:
            scale = egg.move(x, y).turn(DOWN - x * 0.6).scale(0.3)
            petal(
                canvas,
                scale,
                Form(0.95, 0.4, 0.4),
                wood * 0.6,
                wood * 1.1,
                rng,
            )


def star(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, (*HUES, 'stone'))
    points = int(rng.integers(5, 7))
    angles = np.arange(2 * points) * np.pi / points
    far = np.where(np.arange(2 * points) % 2, rng.uniform(0.4, 0.5), 1)
    outline = np.stack([np.cos(angles) * far, np.sin(angles) * far], 1)
    fill(canvas, frame.scale(1.06), outline, hue * 0.3, 0.4)
    for k in range(2 * points):
        facet = np.array([(0, 0), outline[k], outline[(k + 1) % len(outline)]])
        fill(canvas, frame, facet, hue * (1.1 if k % 2 else 0.75))


def snowflake(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    tone = mix(np.ones(3), colour(rng, (*HUES, 'slate')), rng.uniform(0, 1))
    twigs = sorted(rng.uniform(0.3, 0.9, 3))
    reach = rng.uniform(0.15, 0.35)
    lines = []
    for k in range(6):
        arm = Frame.canvas().turn(k * np.pi / 3)
        lines.append(arm.to_canvas(np.array([(0, 0), (1, 0)])))
        for u in twigs:
            for way in (-1, 1):
                twig = np.array([(u, 0), (u + reach * 0.5, way * reach)])
                lines.append(arm.to_canvas(twig))
    strokes(canvas, frame, lines, rng.uniform(0.04, 0.09), tone)


def gear(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    steel = colour(rng, ('stone', 'slate', 'gold', 'tan', *HUES))
    teeth = int(rng.integers(8, 15))
    angles = np.linspace(0, 2 * np.pi, teeth * 8, endpoint=False)
    far = np.where(np.sin(angles * teeth) > 0, 1.0, 0.82)
    outline = np.stack([np.cos(angles) * far, np.sin(angles) * far], 1)
    fill(canvas, frame.scale(1.06), outline, steel * 0.3, 0.4)
    fill(canvas, frame, outline, steel)
    fill(canvas, frame, circle(0.62), steel * 0.75)
    fill(canvas, frame, circle(rng.uniform(0.2, 0.4)), steel * 0.25)


def button(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, (*HUES, 'brown', 'black', 'stone'))
    ball(canvas, frame, hue, 0.1)
    fill(canvas, frame, circle(0.78), hue * 0.7)
    ball(canvas, frame.scale(0.72), hue, 0.05, 0)
    holes = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 0.2
    if rng.random() < 0.4:
        holes = np.add(holes[:2], (0, 0.2))
    dots(canvas, frame, holes, 0.1, hue * 0.25)
    thread = colour(rng, HUES)
    strokes(canvas, frame, [holes[:2], holes[-2:]], 0.06, thread)


def umbrella(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    one, other = colour(rng, HUES), colour(rng, (*HUES, 'black'))
    count = 2 * int(rng.integers(3, 6))
    for k in range(count):
        a, b = 2 * np.pi * np.array([k, k + 1]) / count
        mid = (a + b) / 2
        gore = np.array(
            [
                (0, 0),
                (np.cos(a), np.sin(a)),
                (0.9 * np.cos(mid), 0.9 * np.sin(mid)),
                (np.cos(b), np.sin(b)),
            ]
        )
        light = 1 + 0.2 * np.cos(mid - 4)
        fill(canvas, frame, gore, (other if k % 2 else one) * light)
    ball(canvas, frame.scale(0.06), np.array(NAMED['slate']))


def wheel(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue, rim = colour(rng, HUES), colour(rng, ('black', 'brown', 'slate'))
    count = int(rng.integers(6, 14))
    angles = np.arange(count) * 2 * np.pi / count
    ends = np.stack([np.cos(angles), np.sin(angles)], 1) * 0.88
    strokes(canvas, frame, [np.array([e * 0, e]) for e in ends], 0.06, hue)
    loop = circle(0.9, 40)
    strokes(canvas, frame, [np.concatenate([loop, loop[:2]])], 0.16, rim)
    ball(canvas, frame.scale(0.2), hue * 0.8)


def target(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    one, other = colour(rng, HUES), colour(rng, (*HUES, 'black'))
    rings = int(rng.integers(4, 7))
    ball(canvas, frame, one * 0.6, 0.0)
    for k, size in enumerate(np.linspace(0.96, 0.14, rings)):
        fill(canvas, frame, circle(size), (one, other)[k % 2])


def pinwheel(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    one, other = colour(rng, HUES), colour(rng, HUES)
    stick = np.array([(0, 0), (0, 2.5)])
    strokes(canvas, frame, [stick], 0.08, NAMED['tan'])
    count = int(rng.integers(4, 7))
    for k in range(count):
        vane = frame.turn(k * 2 * np.pi / count)
        fill(canvas, vane, np.array([(0, 0), (1, 0), (0.6, 0.55)]), one)
        fold = np.array([(0, 0), (0.6, 0.55), (0.25, 0.5)])
        fill(canvas, vane, fold, other * 0.8)
    ball(canvas, frame.scale(0.09), np.array(NAMED['gold']))


def wool(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    hue = colour(rng, (*HUES, 'stone'))
    ball(canvas, frame, hue * 0.8)
    for _ in range(9):
        turned = frame.turn(rng.uniform(0, 6.3))
        threads = []
        for bow in np.linspace(-0.5, 0.5, 7):
            x = np.linspace(-0.92, 0.92, 12) * np.sqrt(1 - bow**2 * 0.9)
            threads.append(np.stack([x, bow + 0.35 * (1 - x**2) - 0.2], 1))
        tone = hue * rng.uniform(0.75, 1.2)
        strokes(canvas, turned.scale(0.9), threads, 0.04, tone)


def spider_web(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    silk = mix(np.ones(3), colour(rng, (*HUES, 'slate')), rng.uniform(0, 0.6))
    spokes = int(rng.integers(9, 14))
    angles = np.linspace(0, 2 * np.pi, spokes + 1)
    round_ = np.stack([np.cos(angles), np.sin(angles)], 1)
    lines = [np.array([p * 0, p]) for p in round_]
    lines += [round_ * far for far in np.linspace(0.15, 0.92, 7)]
    strokes(canvas, frame, lines, 0.025, silk)


THINGS: dict[str, Kind] = {
    'maple_leaf': Kind(maple, stalk=0),
    'fern': Kind(fern, stalk=0),
    'shamrock': Kind(shamrock, stalk=0),
    'ginkgo_leaf': Kind(ginkgo, stalk=0),
    'oak_leaf': Kind(oak, stalk=0),
    'citrus': Kind(citrus, stalk=0.2),
    'kiwi': Kind(kiwi, stalk=0.2),
    'apple': Kind(apple, turn=0.8, stalk=0),
    'strawberry': Kind(berry, stalk=0.2),
    'cherries': Kind(cherries, turn=0.8, stalk=0),
    'grapes': Kind(grapes, turn=0.8, stalk=0),
    'watermelon': Kind(melon, stalk=0),
    'butterfly': Kind(butterfly, stalk=0.3),
    'ladybird': Kind(ladybird, stalk=0.2),
    'bee': Kind(bee, stalk=0.2),
    'dragonfly': Kind(dragonfly, stalk=0.2),
    'fish': Kind(fish, stalk=0),
    'starfish': Kind(starfish, stalk=0.1),
    'snail': Kind(snail, turn=0.7, stalk=0),
    'lollipop': Kind(lollipop, turn=0.8, stalk=0),
    'mushroom': Kind(mushroom, turn=0.6, stalk=0),
    'scallop': Kind(scallop, stalk=0.1),
    'feather': Kind(feather, stalk=0),
    'pinecone': Kind(pinecone, stalk=0.1),
    'star': Kind(star, stalk=0.1),
    'snowflake': Kind(snowflake, stalk=0.1),
    'gear': Kind(gear, stalk=0.1),
    'button': Kind(button, stalk=0.1),
    'umbrella': Kind(umbrella, stalk=0.2),
    'wheel': Kind(wheel, stalk=0.1),
    'target': Kind(target, stalk=0.2),
    'pinwheel': Kind(pinwheel, turn=0.8, stalk=0),
    'wool': Kind(wool, stalk=0),
    'spider_web': Kind(spider_web, stalk=0),
}
