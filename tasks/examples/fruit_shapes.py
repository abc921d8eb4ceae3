"""Outlines of fruit, and marks on their skins, as functions of places on the fruit.

An outline takes places right of and below a fruit's middle, in units of its size, and returns x and y such that the
fruit is where x² + y² < 1. A skin takes those and returns marks: colours, and how strongly each covers each place.
"""

from collections.abc import Callable

import numpy as np

from tasks.examples.pictures import Colour, Plane, colour, soft_noise

Outline = Callable[[Plane, Plane], tuple[Plane, Plane]]
Mark = tuple[Colour, Plane]
Skin = Callable[[np.random.Generator, Plane, Plane], list[Mark]]


def oval(width: float = 1.0, height: float = 1.0) -> Outline:
    """An ellipse with the given half-axes."""
    return lambda right, down: (right / width, down / height)


def dented(depth: float, width: float = 1.0, height: float = 1.0) -> Outline:
    """An ellipse that dips where the stalk sits, as an apple's."""

    def outline(right: Plane, down: Plane) -> tuple[Plane, Plane]:
        dip = depth * np.exp(-((right / 0.35) ** 2)) * np.maximum(0.0, -down)
        return right / width, down / height - dip

    return outline


def tapered(top: float, bottom: float, height: float = 1.0) -> Outline:
    """A drop: half as wide as `top` at the upper end, as `bottom` at the lower."""

    def outline(right: Plane, down: Plane) -> tuple[Plane, Plane]:
        way = np.clip((down / height + 1) / 2, 0.0, 1.0)
        return right / (top + (bottom - top) * way**2 * (3 - 2 * way)), down / height

    return outline


def tipped(height: float, tip: float) -> Outline:
    """An ellipse with a tip at its left and right end, as a lemon's."""
    return lambda right, down: (right / (1 - tip + 2 * tip * np.exp(-((down / 0.3) ** 2))), down / height)


def bent(thickness: float, bend: float) -> Outline:
    """A sickle, as a banana's."""
    return lambda right, down: (right, (down - bend * (0.5 - right**2)) / (thickness * (1.15 - 0.4 * right**2)))


def lobed(lobes: int, depth: float) -> Outline:
    """A star with rounded points."""

    def outline(right: Plane, down: Plane) -> tuple[Plane, Plane]:
        reach = 1 - depth * (0.5 - 0.5 * np.cos(lobes * np.arctan2(right, -down)))
        return right / reach, down / reach

    return outline


def _towards_viewer(x: Plane, y: Plane) -> Plane:
    return np.sqrt(np.maximum(1e-6, 1 - x**2 - y**2))


def _around(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Longitude and latitude in radians, the poles above and below."""
    return np.arctan2(x, _towards_viewer(x, y)), np.arcsin(np.clip(y, -1, 1))


def unmarked(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """A leaf's or a stalk's: one colour all over."""
    return []


def even(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """A skin that is a little darker here and there."""
    return [(colour(20, 0.6, 0.2), 0.12 * (soft_noise(rng, len(x), 5) + 1))]


def streaked(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """Fine pale streaks that begin at the stalk."""
    longitude, _ = _around(x, y)
    streaks = 1 + np.sin(longitude * 24 + 5 * soft_noise(rng, len(x), 9))
    return [(colour(50, 0.3, 1.0), 0.07 * streaks * (1 - y)), *even(rng, x, y)]


def pored(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """The small dents of citrus."""
    return [(colour(30, 0.9, 0.3), 0.1 * (soft_noise(rng, len(x), len(x) // 3) + 1))]


def creased(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """One crease from pole to pole, as a plum's or an apricot's."""
    longitude, _ = _around(x, y)
    crease = np.exp(-(((longitude - rng.uniform(-0.7, 0.7)) / 0.09) ** 2))
    return [*even(rng, x, y), (colour(10, 0.7, 0.2), 0.4 * crease)]


def ribbed(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """The ribs of a pumpkin."""
    longitude, _ = _around(x, y)
    furrows = np.cos(4 * longitude + rng.uniform(0, np.pi)) ** 6
    return [(colour(12, 0.9, 0.25), 0.45 * furrows)]


def ridged(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """The edges of a banana, and brown dots."""
    edges = np.exp(-(((y - rng.uniform(-0.3, 0.3)) / 0.12) ** 2))
    dots = (soft_noise(rng, len(x), 24) > 0.75).astype(np.float32)
    ends = np.clip((np.abs(x) - 0.88) / 0.08, 0, 1)
    return [(colour(40, 0.9, 0.4), 0.2 * edges), (colour(25, 0.8, 0.25), 0.6 * dots), (colour(30, 0.6, 0.2), ends)]


def seeded(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """The pale seeds of a strawberry, each in a small hollow."""
    longitude, latitude = _around(x, y)
    rows = latitude * 3.4 + rng.uniform()
    columns = longitude * 2.6 + 0.5 * (np.floor(rows) % 2) + rng.uniform()
    away = ((rows % 1 - 0.5) / 0.24) ** 2 + ((columns % 1 - 0.5) / 0.15) ** 2
    return [(colour(0, 0.9, 0.3), 0.35 * np.exp(-away / 3)), (colour(48, 0.5, 0.95), 0.85 * np.exp(-(away**2)))]


def striped(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """The dark, ragged stripes of a watermelon."""
    longitude, _ = _around(x, y)
    waves = np.sin(7 * longitude + 0.9 * soft_noise(rng, len(x), 14) + rng.uniform(0, 6))
    return [(colour(128, 0.85, 0.2), 0.85 * np.clip(waves * 3 + 0.3, 0, 1))]


def netted(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """The diamonds of a pineapple, a spot in each."""
    longitude, latitude = _around(x, y)
    one, other = longitude * 2.5 + latitude * 3, longitude * 2.5 - latitude * 3
    lines = np.maximum(np.cos(np.pi * one) ** 16, np.cos(np.pi * other) ** 16)
    spots = (np.sin(np.pi * one) * np.sin(np.pi * other)) ** 8
    return [(colour(35, 0.8, 0.35), 0.6 * lines), (colour(40, 0.7, 0.45), 0.35 * spots)]


def sliced(rng: np.random.Generator, x: Plane, y: Plane) -> list[Mark]:
    """A kiwi cut across: brown peel, pale heart, and seeds between."""
    reach, angle = np.hypot(x, y), np.arctan2(y, x)
    rays = (0.5 + 0.5 * np.cos(26 * angle)) * np.exp(-(((reach - 0.6) / 0.25) ** 2))
    seeds = np.maximum(0, np.cos(13 * angle)) ** 4 * np.exp(-(((reach - 0.45) / 0.09) ** 2))
    heart, peel = np.clip((0.32 - reach) / 0.08, 0, 1), np.clip((reach - 0.92) / 0.04, 0, 1)
    pale, black, brown = colour(80, 0.15, 0.95), colour(0, 0.3, 0.1), colour(28, 0.6, 0.35)
    return [(pale, 0.25 * rays), (pale, heart), (black, seeds), (brown, peel)]
