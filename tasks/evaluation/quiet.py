"""Warnings of libraries that say nothing to those who read a judgement."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

UNTOLD = (
    "The number of unique classes is greater than 50%",
    "The least populated class in y has only",
    "lbfgs failed to converge",
    "Glyph .* missing from",
)
"""How the messages begin: few rows, a baseline that is stopped in time, letters the font lacks."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps these warnings from the screen; all others are shown."""
    with warnings.catch_warnings():
        for message in UNTOLD:
            warnings.filterwarnings("ignore", message=message)
        yield
