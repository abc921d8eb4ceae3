"""Tokens of texts as 64-bit keys: words, pairs of neighbouring words, and pieces of three to five characters.

A key is a polynomial of codes modulo 2^64 (Karp and Rabin 1987): it depends on the token alone, so that training rows,
the vocabulary and the graph agree without keeping any text. That two tokens share a key is as good as impossible.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.columns.text.characters import ALONE, SEPARATOR, Codes

PIECES = (3, 4, 5)
"""Lengths of the pieces; the separators around a word belong to its pieces."""
BASE = 0x2545F4914F6CDD1D
INVERSE = pow(BASE, -1, 1 << 64)
FRAME = 2
"""Separators between two texts, so that no piece or word reaches over both."""


@dataclass(frozen=True)
class Framed:
    """Codes of several texts, each between separators, one after another."""

    codes: Codes
    """[T]."""
    ends: NDArray[np.int64]
    """Where the frame of each text ends, [N]."""

    @property
    def positions(self) -> NDArray[np.int64]:
        """Of each code in its own frame, [T]."""
        starts = np.append(0, self.ends[:-1])
        return np.asarray(np.arange(len(self.codes)) - np.repeat(starts, self.ends - starts))


@dataclass(frozen=True)
class Words:
    """Words in their order: where they begin in the framed codes, their keys, and which have a neighbour, [W]."""

    starts: NDArray[np.int64]
    keys: Codes
    followed: NDArray[np.bool_]
    """Whether the next word is in the same text."""

    @property
    def pair_keys(self) -> Codes:
        """Keys of each word with the next, [W]; of no use where it is not followed."""
        return np.asarray(self.keys * np.int64(BASE) + np.roll(self.keys, -1))


def powers(base: int, count: int) -> Codes:
    """base^0, base^1 and so on modulo 2^64, [count]."""
    factors = np.full(count, base, dtype=np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors).view(np.int64)


def frame(codes: Codes, lengths: NDArray[np.int64]) -> Framed:
    """The codes of texts of these lengths with a separator in front and one behind."""
    ends = np.cumsum(lengths + FRAME)
    framed = np.full(int(ends[-1]) if len(ends) else 0, SEPARATOR, dtype=np.int64)
    inner = np.ones(len(framed), dtype=bool)
    inner[ends - 1] = False
    inner[ends - FRAME - lengths] = False
    framed[inner] = codes
    return Framed(framed, ends)


def piece_keys(codes: Codes, length: int) -> Codes:
    """Keys of all runs of `length` codes, [T - length + 1]."""
    count = max(0, len(codes) - length + 1)
    keys = np.zeros(count, dtype=np.int64)
    for offset in range(length):
        keys = keys * np.int64(BASE) + codes[offset : offset + count]
    return keys


def within_words(codes: Codes, length: int) -> NDArray[np.bool_]:
    """Which runs of `length` codes have separators at their ends at most, [T - length + 1]."""
    count = max(0, len(codes) - length + 1)
    inside = np.ones(count, dtype=bool)
    for offset in range(1, length - 1):
        inside &= codes[offset : offset + count] != SEPARATOR
    return inside


def find_words(framed: Framed) -> Words:
    """All words: runs of letters and digits, and characters that stand alone."""
    codes = framed.codes
    word, attached = codes > SEPARATOR, (codes > SEPARATOR) & (codes < ALONE)
    starts = np.flatnonzero(word & ~(attached & np.roll(attached, 1)))
    ends = np.flatnonzero(word & ~(attached & np.roll(attached, -1)))
    position = framed.positions
    reached = np.cumsum(codes * powers(BASE, int(position.max(initial=0)) + 1)[position])
    inverse = powers(INVERSE, int(position.max(initial=0)) + 1)
    keys = (reached[ends] - reached[starts - 1]) * inverse[position[starts]]
    rows = np.searchsorted(framed.ends, starts, side="right")
    return Words(starts, keys, np.append(rows[1:] == rows[:-1], False)[: len(rows)])
