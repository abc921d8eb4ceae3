"""Faces of sixteen road signs, as they hang in much of Europe (Vienna Convention on Road Signs and Signals, 1968)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import cos, hypot, pi, sin
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FACE = 192
"""Pixels of a face's side; a sign reaches from -1 to 1 across it, and a margin of a few pixels stays clear."""
MARGIN = 6
LETTERS = 96
"""Size in pixels at which letters are drawn, before they are fitted to a sign."""
WHITE, BLACK = (238, 240, 240), (24, 24, 26)

Ink = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Script:
    """A font file, and what a maker of signs does to its letters."""

    file: Path
    weight: float
    """How much the strokes are thickened, as a share of the letters' size."""
    stretch: float = 1.0
    """Of the letters' width."""


@dataclass(frozen=True)
class Paint:
    """The colours of one maker of signs, in 0 to 255."""

    red: Ink
    blue: Ink
    yellow: Ink


class Face:
    """A sign seen from the front, on a transparent ground."""

    def __init__(self, script: Script, paint: Paint) -> None:
        self.script, self.paint = script, paint
        self.image = Image.new("RGBA", (FACE, FACE), (*WHITE, 0))
        self._pen = ImageDraw.Draw(self.image)

    def _place(self, point: Point) -> Point:
        scale = FACE / 2 - MARGIN
        return FACE / 2 + point[0] * scale, FACE / 2 + point[1] * scale

    def polygon(self, points: Sequence[Point], ink: Ink) -> None:
        """A filled shape with the given corners."""
        self._pen.polygon([self._place(point) for point in points], ink)

    def disc(self, radius: float, ink: Ink, middle: Point = (0.0, 0.0)) -> None:
        """A filled circle."""
        low = self._place((middle[0] - radius, middle[1] - radius))
        self._pen.ellipse([low, self._place((middle[0] + radius, middle[1] + radius))], ink)

    def stroke(self, points: Sequence[Point], width: float, ink: Ink) -> None:
        """A line with round ends and joints."""
        self._pen.line([self._place(point) for point in points], ink, round(width * FACE / 2))
        for point in points:
            self.disc(width / 2, ink, point)

    def write(self, words: str, width: float, height: float, ink: Ink) -> None:
        """The words in the middle, drawn to fill the height, and narrowed where they are too wide."""
        mask = letters(words, self.script.file, self.script.weight)
        tall = round(height * FACE / 2)
        wide = round(min(width * FACE / 2, mask.width * tall / mask.height * self.script.stretch))
        corner = ((FACE - wide) // 2, (FACE - tall) // 2)
        self.image.paste(ink, corner, mask.resize((wide, tall), Image.Resampling.BILINEAR))


@cache
def letters(words: str, file: Path, thickened: float) -> Image.Image:
    """A mask of the words, cut to their extent."""
    font = ImageFont.truetype(file, LETTERS)
    weight = round(thickened * LETTERS)
    left, top, right, bottom = map(round, font.getbbox(words, stroke_width=weight))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), words, 255, font, stroke_width=weight)
    return mask.crop(mask.getbbox())


def ring(corners: int, radius: float, turn: float = 0.0) -> list[Point]:
    """Corners of a regular polygon; without a turn the first is at the top. The turn is in radians, clockwise."""
    angles = (turn + 2 * pi * corner / corners for corner in range(corners))
    return [(radius * sin(angle), -radius * cos(angle)) for angle in angles]


def shifted(points: Sequence[Point], right: float, down: float, scale: float = 1.0) -> list[Point]:
    """The points, scaled and moved."""
    return [(right + scale * x, down + scale * y) for x, y in points]


def arrow(face: Face, start: Point, tip: Point, width: float, ink: Ink) -> None:
    """A straight arrow whose head is three times as broad as its shaft."""
    length = hypot(tip[0] - start[0], tip[1] - start[1])
    ahead = ((tip[0] - start[0]) / length, (tip[1] - start[1]) / length)
    aside = (-ahead[1], ahead[0])

    def at(along: float, across: float) -> Point:
        return (
            start[0] + along * ahead[0] + across * aside[0],
            start[1] + along * ahead[1] + across * aside[1],
        )

    neck, half = length - 1.7 * width, width / 2
    shaft = [at(0, -half), at(0, half), at(neck, half)]
    head = [at(neck, 3 * half), at(length, 0), at(neck, -3 * half)]
    face.polygon([*shaft, *head, at(neck, -half)], ink)


def _stop(face: Face) -> None:
    for radius, ink in ((1.0, WHITE), (0.93, face.paint.red)):
        face.polygon(ring(8, radius / cos(pi / 8), pi / 8), ink)
    face.write("STOP", 1.6, 0.62, WHITE)


def _give_way(face: Face) -> None:
    for radius, ink in ((1.12, face.paint.red), (0.64, WHITE)):
        face.polygon(shifted(ring(3, radius, pi), 0, -0.22), ink)


def _no_entry(face: Face) -> None:
    face.disc(1.0, WHITE)
    face.disc(0.95, face.paint.red)
    face.polygon([(-0.7, -0.18), (0.7, -0.18), (0.7, 0.18), (-0.7, 0.18)], WHITE)


def _priority_road(face: Face) -> None:
    for radius, ink in ((1.0, BLACK), (0.97, WHITE), (0.66, face.paint.yellow)):
        face.polygon(ring(4, radius), ink)


def _forbidden(face: Face) -> None:
    """A white disc with a red rim."""
    face.disc(1.0, face.paint.red)
    face.disc(0.76, WHITE)


def _speed(limit: int, face: Face) -> None:
    _forbidden(face)
    face.write(str(limit), 1.24, 0.78, BLACK)


def _car(face: Face, right: float, ink: Ink) -> None:
    """A car from behind."""
    body = [(-0.26, -0.02), (-0.17, -0.26), (0.17, -0.26), (0.26, -0.02), (0.26, 0.22), (-0.26, 0.22)]
    wheels = [(-0.24, 0.2), (-0.12, 0.2), (-0.12, 0.34), (-0.24, 0.34)]
    window = [(-0.16, -0.04), (-0.12, -0.18), (0.12, -0.18), (0.16, -0.04)]
    for part, paint in ((body, ink), (wheels, ink), ([(-x, y) for x, y in wheels], ink), (window, WHITE)):
        face.polygon(shifted(part, right, 0, 1.1), paint)


def _no_overtaking(face: Face) -> None:
    _forbidden(face)
    _car(face, -0.36, face.paint.red)
    _car(face, 0.36, BLACK)


def _keep_right(face: Face) -> None:
    face.disc(1.0, WHITE)
    face.disc(0.95, face.paint.blue)
    arrow(face, (-0.5, -0.5), (0.58, 0.58), 0.27, WHITE)


def _roundabout(face: Face) -> None:
    """Three arrows that follow each other anticlockwise."""
    face.disc(1.0, WHITE)
    face.disc(0.95, face.paint.blue)
    for turn in (0.0, 2 * pi / 3, 4 * pi / 3):
        arc = [(0.56 * sin(turn - step / 8), -0.56 * cos(turn - step / 8)) for step in range(10)]
        face.stroke(arc, 0.2, WHITE)
        face.polygon(shifted(ring(3, 0.3, turn - 9 / 8 - pi / 2), *arc[-1]), WHITE)


def _walker(face: Face, right: float, down: float, scale: float) -> None:
    """A person who walks to the left."""
    limbs = (
        [(0.0, -0.3), (0.02, 0.1)],
        [(0.02, 0.1), (-0.16, 0.34), (-0.24, 0.62)],
        [(0.02, 0.1), (0.18, 0.34), (0.3, 0.6)],
        [(0.0, -0.26), (-0.2, -0.02), (-0.34, 0.04)],
        [(0.0, -0.26), (0.18, -0.06), (0.26, 0.1)],
    )
    for width, limb in zip((0.24, 0.16, 0.16, 0.11, 0.11), limbs, strict=True):
        face.stroke(shifted(limb, right, down, scale), width * scale, BLACK)
    face.disc(0.13 * scale, BLACK, (right - 0.02 * scale, down - 0.52 * scale))


def _pedestrian_crossing(face: Face) -> None:
    for half, ink in ((0.92, WHITE), (0.87, face.paint.blue)):
        face.polygon(ring(4, half * 2**0.5, pi / 4), ink)
    face.polygon([(0.0, -0.8), (0.8, 0.66), (-0.8, 0.66)], WHITE)
    for left in (-0.56, -0.26, 0.04, 0.34):
        face.polygon([(left, 0.56), (left + 0.2, 0.56), (left + 0.17, 0.42), (left + 0.03, 0.42)], BLACK)
    _walker(face, 0.02, 0.0, 0.72)


def _road_works(face: Face) -> None:
    """A person who digs at a heap, in a triangle with a red rim."""
    for radius, ink in ((1.12, face.paint.red), (0.72, WHITE)):
        face.polygon(shifted(ring(3, radius), 0, 0.22), ink)
    face.polygon([(0.02, 0.52), (0.3, 0.2), (0.54, 0.52)], BLACK)
    limbs = (
        [(-0.2, -0.02), (-0.28, 0.22)],
        [(-0.28, 0.22), (-0.2, 0.38), (-0.26, 0.5)],
        [(-0.28, 0.22), (-0.42, 0.34), (-0.46, 0.5)],
        [(-0.2, 0.0), (0.0, 0.12)],
        [(-0.24, -0.06), (0.2, 0.36)],
    )
    for width, limb in zip((0.15, 0.1, 0.1, 0.07, 0.06), limbs, strict=True):
        face.stroke(limb, width, BLACK)
    face.disc(0.095, BLACK, (-0.08, -0.16))


def _one_way(face: Face) -> None:
    for half, ink in ((0.92, WHITE), (0.87, face.paint.blue)):
        face.polygon(ring(4, half * 2**0.5, pi / 4), ink)
    arrow(face, (-0.66, 0.0), (0.72, 0.0), 0.34, WHITE)


LIMITS = (30, 50, 60, 80, 100, 120)
WRITTEN: Mapping[str, Callable[[Face], None]] = {
    "stop": _stop,
    **{f"speed-{limit}": partial(_speed, limit) for limit in LIMITS},
}
"""The signs that bear letters or digits."""
SIGNS: Mapping[str, Callable[[Face], None]] = {
    **WRITTEN,
    "give-way": _give_way,
    "no-entry": _no_entry,
    "priority-road": _priority_road,
    "no-overtaking": _no_overtaking,
    "keep-right": _keep_right,
    "roundabout": _roundabout,
    "pedestrian-crossing": _pedestrian_crossing,
    "road-works": _road_works,
    "one-way": _one_way,
}
