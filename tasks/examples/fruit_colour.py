"""Pictures of fruit on a table, for a model that learns colours and is judged on fruit that it never saw."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import hypot
from pathlib import Path

import numpy as np

from tasks.examples import fruit_painting as painting
from tasks.examples import fruit_shapes as shapes
from tasks.examples.fruit_painting import Easel, Frame
from tasks.examples.fruit_shapes import Outline, Skin
from tasks.examples.pictures import (
    Pixels,
    Span,
    as_planes,
    between,
    colour,
    halved,
    save_manifest,
    save_picture,
)

SIDE = 64
"""Pixels of a picture's side; it is painted at twice the side."""
COLOURS: Mapping[str, tuple[Span, Span, Span]] = {
    "red": ((-12, 7), (0.8, 0.97), (0.68, 0.9)),
    "orange": ((20, 31), (0.85, 1.0), (0.85, 1.0)),
    "yellow": ((47, 56), (0.65, 0.95), (0.88, 1.0)),
    "green": ((78, 112), (0.6, 0.9), (0.5, 0.78)),
    "purple": ((268, 312), (0.45, 0.75), (0.3, 0.52)),
}
"""What each name of a colour may mean: hues in degrees, saturations and values."""


@dataclass(frozen=True)
class Fruit:
    """How a fruit looks, whatever its colour."""

    outline: Outline
    skin: Skin = shapes.even
    trim: Callable[[Easel, Frame], None] = painting.bare
    gloss: float = 0.45
    turn: float = 0.5
    """The most that it lies turned to either side, in radians."""
    bunch: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    """Where single fruits of a bunch are, from the back to the front, in units of their size."""


PAIR = ((-0.75, 0.1), (0.7, 0.3))
HEAP = ((-0.9, -0.4), (0.7, -0.5), (-0.1, 0.6))
# fmt: off
GRAPES = (
    (-1.7, -1.5), (-0.1, -1.8), (1.6, -1.5), (-1.0, -0.7), (0.8, -0.8), (-0.1, -0.2), (-1.5, 0.1), (1.4, 0.2),
    (-0.7, 1.0), (0.7, 1.1), (0.0, 2.2),
)
# fmt: on
FRUITS: Mapping[str, Fruit] = {
    "tomato": Fruit(shapes.dented(0.15, 1.0, 0.86), shapes.even, painting.calyx, 0.6),
    "apple": Fruit(shapes.dented(0.3, 0.97, 0.95), shapes.streaked, painting.leafy_stalk),
    "cherry": Fruit(shapes.dented(0.2), shapes.even, painting.leafy_stalk, 0.7, bunch=PAIR),
    "orange": Fruit(shapes.oval(), shapes.pored, painting.bare, 0.25, 3.0),
    "apricot": Fruit(shapes.oval(0.95, 1.0), shapes.creased, painting.bare, 0.1, 3.0),
    "pumpkin": Fruit(shapes.dented(0.2, 1.0, 0.75), shapes.ribbed, painting.stalk, 0.2, 0.3),
    "lemon": Fruit(shapes.tipped(0.68, 0.16), shapes.pored, painting.bare, 0.3, 3.0),
    "lime": Fruit(shapes.tipped(0.78, 0.1), shapes.pored, painting.bare, 0.35, 3.0),
    "banana": Fruit(shapes.bent(0.28, 0.7), shapes.ridged, painting.bare, 0.15, 3.0),
    "pear": Fruit(shapes.tapered(0.42, 0.85), shapes.even, painting.leafy_stalk, 0.35, 0.8),
    "plum": Fruit(shapes.oval(0.8, 1.0), shapes.creased, painting.stalk, 0.35, 1.5),
    "fig": Fruit(shapes.tapered(0.3, 0.95, 0.95), shapes.streaked, painting.stalk, 0.15, 1.0),
    "aubergine": Fruit(shapes.tapered(0.4, 0.68), shapes.even, painting.broad_calyx, 0.7, 1.2),
    "strawberry": Fruit(shapes.tapered(1.0, 0.4, 1.05), shapes.seeded, painting.calyx, 0.4, 0.9),
    "redcurrant": Fruit(shapes.oval(), shapes.even, painting.bare, 0.4, 0.6, GRAPES),
    "persimmon": Fruit(shapes.oval(1.0, 0.8), shapes.even, painting.broad_calyx, 0.5, 0.4),
    "kumquat": Fruit(shapes.oval(0.68, 0.95), shapes.pored, painting.bare, 0.4, 0.6, HEAP),
    "starfruit": Fruit(shapes.lobed(5, 0.5), shapes.even, painting.bare, 0.2, 3.0),
    "pineapple": Fruit(shapes.oval(0.66, 0.95), shapes.netted, painting.crown, 0.1, 0.4),
    "watermelon": Fruit(shapes.oval(1.0, 0.92), shapes.striped, painting.bare, 0.4, 1.5),
    "kiwi": Fruit(shapes.oval(0.93, 1.0), shapes.sliced, painting.bare, 0.1, 3.0),
    "grapes": Fruit(shapes.oval(), shapes.even, painting.bare, 0.6, 0.5, GRAPES),
    "mangosteen": Fruit(shapes.oval(1.0, 0.94), shapes.even, painting.broad_calyx, 0.3, 0.5),
}
Counts = Mapping[tuple[str, str], int]
"""Pictures to make of each fruit and colour."""
SEEN: Counts = {
    **dict.fromkeys([("tomato", "red"), ("apple", "red"), ("cherry", "red")], 40),
    **dict.fromkeys([("orange", "orange"), ("apricot", "orange"), ("pumpkin", "orange")], 40),
    **dict.fromkeys([("lemon", "yellow"), ("banana", "yellow")], 40),
    **dict.fromkeys([("pear", "yellow"), ("plum", "yellow")], 20),
    **dict.fromkeys([("lime", "green"), ("pear", "green"), ("apple", "green")], 40),
    **dict.fromkeys([("plum", "purple"), ("fig", "purple"), ("aubergine", "purple")], 40),
}
UNSEEN: Counts = {
    ("strawberry", "red"): 40,
    **dict.fromkeys([("redcurrant", "red"), ("persimmon", "orange"), ("kumquat", "orange")], 20),
    **dict.fromkeys([("starfruit", "yellow"), ("pineapple", "yellow"), ("watermelon", "green")], 20),
    **dict.fromkeys([("kiwi", "green"), ("grapes", "purple"), ("mangosteen", "purple")], 20),
}


def make(folder: Path, seed: int = 0) -> None:
    """Writes train.csv with the fruit to learn from, test.csv with other fruit, and their pictures beneath `folder`."""
    rng = np.random.default_rng(seed)
    for split, counts in (("train", SEEN), ("test", UNSEEN)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = _shuffled(rng, split, counts)
        for row in rows:
            save_picture(draw(rng, FRUITS[row["fruit"]], row["colour"]), folder / row["photo"])
        save_manifest(rows, folder / f"{split}.csv")


def _shuffled(rng: np.random.Generator, split: str, counts: Counts) -> list[dict[str, str]]:
    """A row for each picture; neither its place nor its file's name tells the colour."""
    pairs = [pair for pair, count in counts.items() for _ in range(count)]
    return [
        {"photo": f"{split}/{number:04d}.jpg", "fruit": pairs[place][0], "colour": pairs[place][1]}
        for number, place in enumerate(rng.permutation(len(pairs)))
    ]


def draw(rng: np.random.Generator, fruit: Fruit, name: str) -> Pixels:
    """A picture of the fruit in a shade of the named colour, [3, SIDE, SIDE]."""
    hue, saturation, value = (between(rng, span) for span in COLOURS[name])
    easel = Easel(rng, 2 * SIDE)
    frame = _placed(rng, fruit)
    easel.shadow(frame)
    single = Frame(frame.across, frame.down, frame.size / _reach(fruit), frame.turn)
    for right, below in fruit.bunch:
        part = single.part(right, below, 1.0, rng.uniform(-0.1, 0.1))
        shade = colour(hue + rng.normal(0, 1.5), saturation, value * rng.uniform(0.92, 1.0))
        easel.body(part, fruit.outline, shade, fruit.skin, fruit.gloss * rng.uniform(0.5, 1.3))
        fruit.trim(easel, part)
    return _photographed(rng, halved(easel.pixels))


def _placed(rng: np.random.Generator, fruit: Fruit) -> Frame:
    """Somewhere near the middle, between half and most of the picture wide."""
    return Frame(
        rng.uniform(-0.18, 0.18),
        rng.uniform(-0.18, 0.18),
        rng.uniform(0.48, 0.74),
        rng.uniform(-fruit.turn, fruit.turn),
    )


def _reach(fruit: Fruit) -> float:
    """How far a bunch reaches from its middle, in sizes of a single fruit."""
    return 1.0 if len(fruit.bunch) == 1 else 0.75 + max(hypot(*place) for place in fruit.bunch)


def _photographed(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """As a camera sees it: brighter or darker, in warmer or colder light, with a little noise."""
    warmth = rng.uniform(-0.05, 0.05)
    tint = np.array([1 + warmth, 1.0, 1 - warmth], np.float32) * rng.uniform(0.8, 1.12)
    return pixels * as_planes(tint) + rng.normal(0, rng.uniform(0.0, 0.02), pixels.shape)
