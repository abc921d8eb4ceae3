"""Fruit painted on a table: light from above, gloss, shadow, and the green that belongs to it."""

from dataclasses import dataclass
from math import cos, hypot, pi, sin

import numpy as np

from tasks.examples.fruit_shapes import Outline, Skin, lobed, oval, unmarked
from tasks.examples.pictures import Colour, Pixels, Plane, Span, as_planes, between, blend, colour, soft_noise

AMBIENT, DIRECT = 0.5, 0.62
"""Shares of the light that comes from everywhere, and from the lamp."""
LEAF_HUES, LEAF_STRENGTHS, LEAF_LIGHTS = (90.0, 130.0), (0.55, 0.85), (0.3, 0.6)
BLACK = colour(0, 0, 0)
STALK = colour(32, 0.6, 0.33)


@dataclass(frozen=True)
class Frame:
    """Where something is: its middle, its size and its turn in radians; the picture reaches from -1 to 1."""

    across: float
    down: float
    size: float
    turn: float = 0.0

    def local(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        """The picture's places in units of the size, right of and below the middle."""
        right, below = (x - self.across) / self.size, (y - self.down) / self.size
        ahead, aside = cos(self.turn), sin(self.turn)
        return ahead * right + aside * below, ahead * below - aside * right

    def part(self, right: float, below: float, size: float, turn: float = 0.0) -> "Frame":
        """The frame of a part, given in the units of this one."""
        ahead, aside = cos(self.turn), sin(self.turn)
        across, down = ahead * right - aside * below, aside * right + ahead * below
        return Frame(self.across + self.size * across, self.down + self.size * down, self.size * size, self.turn + turn)


class Easel:
    """A picture in the making, and the light it stands in."""

    def __init__(self, rng: np.random.Generator, side: int) -> None:
        self.rng, self.side = rng, side
        places = (np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1
        self.x, self.y = np.meshgrid(places, places)
        self.lamp = (rng.uniform(-0.6, 0.6), rng.uniform(-0.8, -0.4), rng.uniform(0.5, 0.9))
        """Direction of the light: right, down and towards the viewer."""
        self.pixels = backdrop(rng, self.x, self.y)

    def cover(self, above: Colour | Pixels, share: Plane) -> None:
        """Paints over what is there."""
        self.pixels = blend(self.pixels, above, share)

    def inside(self, x: Plane, y: Plane, frame: Frame) -> Plane:
        """Share of each pixel that lies within x² + y² < 1."""
        return np.clip((1 - np.hypot(x, y)) * frame.size * self.side / 2 + 0.5, 0, 1)

    def shadow(self, frame: Frame) -> None:
        """A soft shadow on the table, away from the lamp."""
        beneath = frame.part(0, 0, 1.1)
        right = (self.x - beneath.across + 0.35 * frame.size * self.lamp[0]) / beneath.size
        below = (self.y - beneath.down + 0.35 * frame.size * self.lamp[1]) / beneath.size
        self.cover(BLACK, 0.5 * np.clip(1.6 - 1.5 * np.hypot(right, below), 0, 1))

    def body(self, frame: Frame, outline: Outline, hue: Colour, skin: Skin, gloss: float) -> None:
        """A rounded thing, lit by the lamp; Lambert's law, and highlights after Blinn (1977)."""
        x, y = outline(*frame.local(self.x, self.y))
        front = np.sqrt(np.maximum(0.0, 1 - x**2 - y**2))
        ahead, aside = cos(frame.turn), sin(frame.turn)
        normal = (ahead * x - aside * y, aside * x + ahead * y, front)
        surface = as_planes(hue)
        for tint, share in skin(self.rng, x, y):
            surface = blend(surface, tint, share)
        light = AMBIENT + DIRECT * _facing(normal, self.lamp)
        right, down, out = self.lamp
        shine = gloss * _facing(normal, (right, down, out + hypot(*self.lamp))) ** 32
        self.cover(surface * light + shine, self.inside(x, y, frame))

    def line(self, frame: Frame, end: tuple[float, float], width: float, hue: Colour) -> None:
        """A stroke from the frame's middle to `end`, both ends and the width in the frame's units."""
        right, below = frame.local(self.x, self.y)
        length = hypot(*end)
        along = np.clip((right * end[0] + below * end[1]) / length**2, 0, 1)
        away = np.hypot(right - along * end[0], below - along * end[1])
        self.cover(hue, np.clip((width / 2 - away) * frame.size * self.side / 2 + 0.5, 0, 1))


def _facing(normal: tuple[Plane, Plane, Plane], direction: tuple[float, float, float]) -> Plane:
    """How far each place faces the direction: cosines, 0 where it looks away and at most 1 outside."""
    right, down, out = (part / hypot(*direction) for part in direction)
    cosine: Plane = np.clip(normal[0] * right + normal[1] * down + normal[2] * out, 0, 1)
    return cosine


def green(rng: np.random.Generator) -> Colour:
    """The colour of a leaf."""
    return colour(between(rng, LEAF_HUES), between(rng, LEAF_STRENGTHS), between(rng, LEAF_LIGHTS))


def backdrop(rng: np.random.Generator, x: Plane, y: Plane) -> Pixels:
    """A table top: boards, a chequered cloth, leaves, or bare, in any colour, lighter on one side."""
    pattern = int(rng.integers(4))
    first, second = table_colour(rng), green(rng) if pattern == 2 else table_colour(rng)
    turn = rng.uniform(0, pi)
    across, along = x * cos(turn) + y * sin(turn), y * cos(turn) - x * sin(turn)
    share = (
        0.5 + 0.3 * np.sin(across * 14 + 2 * soft_noise(rng, len(x), 4)),
        0.2 * (2 + np.sign(np.sin(across * 8)) + np.sign(np.sin(along * 8))),
        np.clip(0.5 + 1.2 * soft_noise(rng, len(x), 7), 0, 1),
        0.3 + 0.3 * soft_noise(rng, len(x), 3),
    )[pattern]
    light = 1 + 0.2 * across + 0.08 * soft_noise(rng, len(x), 9)
    return blend(as_planes(first), second, share) * light


def table_colour(rng: np.random.Generator) -> Colour:
    """Any hue, but paler or darker than ripe fruit."""
    return colour(rng.uniform(0, 360), rng.uniform(0.05, 0.45), rng.uniform(0.25, 0.9))


def stalk(easel: Easel, frame: Frame, length: Span = (0.25, 0.45)) -> None:
    """A woody stalk at the top."""
    reach = between(easel.rng, length)
    easel.line(frame.part(0, -0.85, 1), (easel.rng.uniform(-0.3, 0.3), -reach), 0.1, STALK)


def leafy_stalk(easel: Easel, frame: Frame) -> None:
    """A stalk, mostly with a leaf."""
    stalk(easel, frame)
    if easel.rng.random() < 0.6:
        side = -1.0 if easel.rng.random() < 0.5 else 1.0
        leaf = frame.part(side * 0.36, -1.05, 0.36, side * easel.rng.uniform(-0.5, 0.1))
        easel.body(leaf, oval(1.0, 0.42), green(easel.rng), unmarked, 0.1)


def calyx(easel: Easel, frame: Frame) -> None:
    """Narrow green sepals around a short stalk, as a tomato's or a strawberry's."""
    hue = green(easel.rng)
    easel.body(frame.part(0, -0.78, 0.58, easel.rng.uniform(-0.4, 0.4)), _flat(lobed(6, 0.7), 0.6), hue, unmarked, 0.0)
    easel.line(frame.part(0, -0.8, 1), (easel.rng.uniform(-0.15, 0.15), -0.35), 0.11, hue * 0.9)


def broad_calyx(easel: Easel, frame: Frame) -> None:
    """Four broad sepals, as a persimmon's or a mangosteen's."""
    flat = _flat(lobed(4, 0.45), 0.55)
    easel.body(frame.part(0, -0.7, 0.6, easel.rng.uniform(-0.3, 0.3)), flat, green(easel.rng), unmarked, 0.1)
    easel.line(frame.part(0, -0.8, 1), (easel.rng.uniform(-0.1, 0.1), -0.25), 0.16, STALK)


def crown(easel: Easel, frame: Frame) -> None:
    """The stiff leaves of a pineapple."""
    for turn in easel.rng.permutation(np.linspace(-0.9, 0.9, 7)):
        leaf = frame.part(0.5 * sin(turn), -0.85 - 0.4 * cos(turn), 0.45, turn)
        easel.body(leaf, oval(0.24, 1.0), green(easel.rng), unmarked, 0.1)


def bare(easel: Easel, frame: Frame) -> None:
    """Nothing besides the fruit."""


def _flat(outline: Outline, height: float) -> Outline:
    """The outline seen from the side, less high."""
    return lambda right, down: outline(right, down / height)
