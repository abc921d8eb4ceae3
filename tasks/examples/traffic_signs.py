"""Pictures of road signs, for a model that learns from some fonts and paints, and is judged on others and bad days."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL.Image import Image

from tasks.examples.pictures import Span, between, colour, either_way, save_manifest, save_picture
from tasks.examples.sign_faces import SIGNS, WRITTEN, Face, Ink, Paint, Script
from tasks.examples.sign_scenes import Circumstances, photograph

TRACKS, VIEWS = 90, 2
"""Of each sign to learn from: so many hang by the road, and each is photographed so often in passing."""
TO_JUDGE = 112
"""Test pictures under each condition, spread evenly over the signs; each shows another sign by the road."""
Fonts = Mapping[str, Span]
"""Files of fonts, without their ending, and the range by which their strokes are thickened."""
SEEN_FONTS: Fonts = {
    "DejaVuSans": (0.0, 0.05),
    "DejaVuSans-Bold": (0.0, 0.05),
    "DejaVuSans-Oblique": (0.01, 0.04),
    "DejaVuSansMono": (0.01, 0.05),
    "DejaVuSansMono-Bold": (0.0, 0.06),
    "STIXGeneral": (0.01, 0.07),
    "STIXGeneralBol": (0.0, 0.06),
    "STIXGeneralItalic": (0.01, 0.07),
    "STIXGeneralBolIta": (0.0, 0.05),
    "cmb10": (0.0, 0.04),
}
STRETCH = (0.85, 1.15)
"""Width of the letters, of their own; makers narrow them as they please."""
UNSEEN_FONTS: Fonts = {
    "DejaVuSerif": (0.01, 0.04),
    "DejaVuSerif-Bold": (0.0, 0.01),
    "cmr10": (0.03, 0.05),
    "cmss10": (0.02, 0.05),
    "cmtt10": (0.02, 0.04),
}
"""DejaVu Serif, and Computer Modern but for its bold cut, which is learnt."""


@dataclass(frozen=True)
class Shades:
    """What a maker of signs may call red, blue and yellow."""

    turn: Span
    """Degrees by which a hue lies away from the middle of what is learnt, to either side."""
    strength: Span
    """Saturation."""


SEEN_SHADES = Shades(turn=(0, 4), strength=(0.84, 0.98))
UNSEEN_SHADES = Shades(turn=(10, 15), strength=(0.62, 0.8))
"""Bleached by the sun, and from another pot: scarlet or crimson, azure or ultramarine, amber or lemon."""
RED, BLUE, YELLOW = (356, (0.62, 0.84)), (213, (0.5, 0.78)), (46, (0.88, 1.0))
"""The middle hue in degrees, and the range of values."""


@dataclass(frozen=True)
class Condition:
    """Under what a sign is judged."""

    fonts: Fonts = field(default_factory=lambda: SEEN_FONTS)
    shades: Shades = SEEN_SHADES
    seen: Circumstances = field(default_factory=Circumstances)
    signs: tuple[str, ...] = tuple(SIGNS)


CONDITIONS: Mapping[str, Condition] = {
    "plain": Condition(),
    "unseen font": Condition(fonts=UNSEEN_FONTS, signs=tuple(WRITTEN)),
    "another shade": Condition(shades=UNSEEN_SHADES),
    "dirt": Condition(seen=Circumstances(dirt=(0.5, 0.72))),
    "tilt": Condition(seen=Circumstances(lean=(10, 20), turn=(25, 42))),
    "dusk": Condition(seen=Circumstances(light=(0.26, 0.42), haze=(0.2, 0.35), grain=(0.015, 0.025))),
    "motion": Condition(seen=Circumstances(motion=(2.0, 3.2), grain=(0.015, 0.03))),
    "all at once": Condition(
        UNSEEN_FONTS,
        UNSEEN_SHADES,
        Circumstances(
            lean=(7, 12), turn=(17, 28), dirt=(0.3, 0.5), light=(0.45, 0.65), motion=(1.0, 2.0), grain=(0.01, 0.02)
        ),
    ),
}
"""All but plain lie outside the range of what is learnt from, in the way that their name says."""


@dataclass(frozen=True)
class Track:
    """One sign by the road, and how often it is photographed."""

    sign: str
    condition: str
    views: int


def make(folder: Path, seed: int = 0) -> None:
    """Writes train.csv and test.csv, which name pictures, signs, tracks and conditions, and the pictures."""
    rng = np.random.default_rng(seed)
    to_learn = [Track(str(sign), "plain", VIEWS) for sign in rng.permutation(np.repeat(list(SIGNS), TRACKS))]
    _write(rng, folder, "train", to_learn)
    _write(rng, folder, "test", to_judge())


def to_judge() -> list[Track]:
    """The signs of the test pictures."""
    return [
        Track(condition.signs[number % len(condition.signs)], name, views=1)
        for name, condition in CONDITIONS.items()
        for number in range(TO_JUDGE)
    ]


def _write(rng: np.random.Generator, folder: Path, split: str, tracks: list[Track]) -> None:
    """Pictures, whose names tell nothing of the sign, and their manifest."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for number, track in enumerate(tracks):
        named = {"sign": track.sign, "track": f"{split}-{number:04d}", "condition": track.condition}
        condition = CONDITIONS[track.condition]
        face = manufacture(rng, track.sign, condition)
        for _ in range(track.views):
            photo = f"{split}/{len(rows):04d}.jpg"
            save_picture(photograph(rng, face, condition.seen), folder / photo)
            rows.append({"photo": photo, **named})
    save_manifest(rows, folder / f"{split}.csv")


def manufacture(rng: np.random.Generator, sign: str, condition: Condition) -> Image:
    """The sign's face, [192, 192] in RGBA, in one of the condition's fonts and paints."""
    face = Face(_script(rng, condition.fonts), _paint(rng, condition.shades))
    SIGNS[sign](face)
    return face.image


def _script(rng: np.random.Generator, fonts: Fonts) -> Script:
    """A font of those that come with matplotlib; the weight in hundredths, so that few have to be drawn."""
    name = list(fonts)[rng.integers(len(fonts))]
    return Script(font_folder() / f"{name}.ttf", round(between(rng, fonts[name]), 2), between(rng, STRETCH))


def font_folder() -> Path:
    """Where matplotlib keeps its fonts."""
    from matplotlib import get_data_path

    return Path(get_data_path()) / "fonts" / "ttf"


def _paint(rng: np.random.Generator, shades: Shades) -> Paint:
    return Paint(*(_ink(rng, hue, value, shades) for hue, value in (RED, BLUE, YELLOW)))


def _ink(rng: np.random.Generator, hue: float, value: Span, shades: Shades) -> Ink:
    shade = colour(hue + either_way(rng, shades.turn), between(rng, shades.strength), between(rng, value))
    red, green, blue = (round(255 * float(part)) for part in shade)
    return red, green, blue
