"""Texts as people also write them, on which a model should decide as on the originals."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns.kind import Shift
from models.columns.text.feed import TextSettings

TYPING_ERRORS = 0.03
"""Share of the characters that are mistyped."""
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Of the letters of a keyboard."""
NEIGHBOURS = {a: b for row in ROWS for a, b in zip(row, row[1:] + row[-2], strict=True)}
"""A key beside each letter."""


def typing_errors(values: pa.Array, settings: TextSettings, rng: np.random.Generator) -> pa.Array:
    """The texts with a few per cent of their characters left out, doubled, swapped with the next or mistyped."""
    return pa.array([None if text is None else _mistyped(text, rng) for text in values.to_pylist()], pa.string())


def _mistyped(text: str, rng: np.random.Generator) -> str:
    characters = list(text)
    wrong = np.flatnonzero(rng.random(len(characters)) < TYPING_ERRORS)
    for place, error in zip(wrong.tolist(), rng.integers(0, 4, len(wrong)).tolist(), strict=True):
        here = characters[place]
        if error == 0:
            characters[place] = ""
        elif error == 1:
            characters[place] = here * 2
        elif error == 2:
            characters[place : place + 2] = characters[place : place + 2][::-1]
        else:
            characters[place] = NEIGHBOURS.get(here.lower(), here)
    # A text of which nothing is left would be a missing one.
    return "".join(characters).strip() or text


def upper_case(values: pa.Array, settings: TextSettings, rng: np.random.Generator) -> pa.Array:
    """The texts in capitals."""
    return pc.utf8_upper(values)


SHIFTS: Mapping[str, Shift] = MappingProxyType(
    {
        "typing_errors": Shift("texts with 3 of 100 characters mistyped, doubled, swapped or left out", typing_errors),
        "upper_case": Shift("texts in capitals", upper_case),
    }
)
