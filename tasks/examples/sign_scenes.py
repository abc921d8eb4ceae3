"""Signs as a camera meets them: on a pole before sky, trees or houses, tilted, dirty, at dusk, in motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import radians

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.examples.pictures import (
    Colour,
    Pixels,
    Plane,
    Span,
    as_planes,
    between,
    blend,
    colour,
    either_way,
    halved,
    soft_noise,
)
from tasks.examples.sign_faces import FACE

SIDE = 48
"""Pixels of a picture's side; a scene has twice the side until it is photographed."""
DISTANCE = 4.0
"""Of the camera, in halves of a sign's width: the nearer, the stronger the perspective."""
DIRT = colour(32, 0.42, 0.36)


@dataclass(frozen=True)
class Circumstances:
    """The range of what may befall a sign on the way into a picture."""

    size: Span = (0.72, 0.94)
    """Share of the picture's side."""
    lean: Span = (0.0, 6.0)
    """Degrees that the sign hangs askew, to either side."""
    turn: Span = (0.0, 15.0)
    """Degrees that the sign is turned away from the viewer, to either side."""
    dirt: Span = (0.0, 0.0)
    """How thick it lies, of 1."""
    light: Span = (0.8, 1.1)
    """Brightness, of 1 by day."""
    haze: Span = (0.0, 0.12)
    """Share of grey that takes away contrast."""
    motion: Span = (0.0, 0.0)
    """Pixels by which the camera moves while the shutter is open."""
    grain: Span = (0.0, 0.015)
    """Standard deviation of the noise, of 1."""


def photograph(rng: np.random.Generator, face: Image.Image, seen: Circumstances) -> Pixels:
    """A picture of the sign under the circumstances, [3, SIDE, SIDE]."""
    sign = soiled(rng, _planes(_hung(rng, face, seen)), between(rng, seen.dirt))
    scene = blend(roadside(rng, 2 * SIDE), sign[:3], sign[3])
    light, cast = between(rng, seen.light), rng.uniform(-0.04, 0.04, 3)
    lit = _moved(rng, halved(scene), between(rng, seen.motion)) * as_planes(light * (1 + cast))
    hazy = lit + (0.55 * light - lit) * between(rng, seen.haze)
    return hazy + rng.normal(0, between(rng, seen.grain), hazy.shape)


def roadside(rng: np.random.Generator, side: int) -> Pixels:
    """What is behind a sign, [3, side, side]: sky above trees, houses or fields, and the pole."""
    down = np.linspace(-1, 1, side, dtype=np.float32)[:, None] + 0.15 * soft_noise(rng, side, 4)
    sky = colour(rng.uniform(200, 225), rng.uniform(0.0, 0.5), rng.uniform(0.65, 1.0))
    ground = _ground(rng)
    horizon = np.clip((down - rng.uniform(-0.9, 1.2)) * 8, 0, 1)
    rough = 1 + rng.uniform(0.05, 0.35) * (soft_noise(rng, side, 9) + soft_noise(rng, side, 24)) * horizon
    scene = blend(as_planes(sky), ground, horizon) * rough
    return blend(scene, colour(0, 0, rng.uniform(0.35, 0.65)), _pole(rng, side))


def _ground(rng: np.random.Generator) -> Colour:
    hues, strengths = (((80, 130), (0.2, 0.6)), ((15, 45), (0.1, 0.45)), ((0, 360), (0.0, 0.12)))[rng.integers(3)]
    return colour(between(rng, hues), between(rng, strengths), rng.uniform(0.2, 0.65))


def _pole(rng: np.random.Generator, side: int) -> Plane:
    """Share of each pixel that the pole covers: a bar in the middle of the lower half."""
    across = np.abs(np.linspace(-1, 1, side, dtype=np.float32)[None, :] - rng.uniform(-0.08, 0.08))
    below = np.arange(side)[:, None] > side / 2
    share: Plane = np.clip((rng.uniform(0.04, 0.08) - across) * side / 2, 0, 1) * below
    return share


def _hung(rng: np.random.Generator, face: Image.Image, seen: Circumstances) -> Image.Image:
    """The face in its place, size and perspective, with twice the picture's side."""
    side = 2 * SIDE
    corners = seen_corners(
        lean=radians(either_way(rng, seen.lean)),
        turn=radians(either_way(rng, seen.turn)),
        nod=radians(either_way(rng, seen.turn) / 2),
    )
    size, middle = between(rng, seen.size), rng.uniform(-1, 1, 2) * 0.06
    places = (corners * size + middle + 1) / 2 * side
    map_back = perspective(places, np.array([(0, 0), (side, 0), (side, side), (0, side)], float))
    small = face.reduce(FACE // side)
    return small.transform((side, side), Image.Transform.PERSPECTIVE, map_back, Image.Resampling.BILINEAR)


def seen_corners(lean: float, turn: float, nod: float) -> NDArray[np.float64]:
    """Where a pinhole camera sees the corners of a square from -1 to 1, [4, 2], clockwise from the upper left.

    The square leans in its plane, then turns about its upright axis and nods about its level one, all in radians.
    """
    x, y = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float).T
    x, y = x * np.cos(lean) - y * np.sin(lean), x * np.sin(lean) + y * np.cos(lean)
    x, depth = x * np.cos(turn), x * np.sin(turn)
    y, depth = y * np.cos(nod) - depth * np.sin(nod), y * np.sin(nod) + depth * np.cos(nod)
    seen: NDArray[np.float64] = np.stack([x, y], axis=1) * (DISTANCE / (DISTANCE + depth))[:, None]
    return seen


def perspective(places: NDArray[np.float64], sources: NDArray[np.float64]) -> Sequence[float]:
    """Coefficients a to h of the map from four places [4, 2] to four sources [4, 2].

    x' = (a x + b y + c) / (g x + h y + 1) and y' = (d x + e y + f) / (g x + h y + 1), in Pillow's order.
    """
    ones, zeros = np.ones((4, 1)), np.zeros((4, 3))
    known = np.hstack([places, ones])
    across = np.hstack([known, zeros, -sources[:, :1] * places])
    down = np.hstack([zeros, known, -sources[:, 1:] * places])
    solved = np.linalg.solve(np.vstack([across, down]), np.concatenate(sources.T))
    return [float(value) for value in solved]


def _planes(image: Image.Image) -> Pixels:
    """Red, green, blue and cover of each pixel in 0 to 1, [4, side, side]."""
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 255


def soiled(rng: np.random.Generator, sign: Pixels, thickness: float) -> Pixels:
    """The sign [4, side, side] under a film of dirt, thicker in blotches and towards the lower edge; never opaque."""
    if not thickness:
        return sign
    side = sign.shape[1]
    blotches = np.clip(2.5 * soft_noise(rng, side, 7) - 0.4, 0, 1)
    splashes = np.clip(4 * soft_noise(rng, side, 18) - 1.8, 0, 1)
    below = np.clip(np.linspace(-0.3, 0.9, side, dtype=np.float32)[:, None], 0, 1)
    share = thickness * np.clip(0.2 + 0.55 * blotches + 0.6 * splashes + 0.3 * below, 0, 1)
    return np.concatenate([blend(sign[:3], DIRT, share), sign[3:]])


def _moved(rng: np.random.Generator, pixels: Pixels, way: float) -> Pixels:
    """The mean of views along a straight way of so many pixels, in any direction."""
    if not way:
        return pixels
    direction = rng.uniform(0, np.pi)
    steps = np.linspace(-way / 2, way / 2, 7)
    views = [_shifted(pixels, step * np.cos(direction), step * np.sin(direction)) for step in steps]
    mean: Pixels = np.mean(views, axis=0)
    return mean


def _shifted(pixels: Pixels, right: float, down: float) -> Pixels:
    """The picture moved by parts of a pixel; its edges go on beyond the border."""
    side = pixels.shape[1]
    places = np.arange(side)
    for axis, way in ((2, right), (1, down)):
        before = np.floor(places - way).astype(int)
        part = (places - way - before).reshape((-1, 1) if axis == 1 else (1, -1))
        low, high = (pixels.take(at.clip(0, side - 1), axis) for at in (before, before + 1))
        pixels = low + (high - low) * part
    return pixels
