"""Tokens of texts as 64-bit keys: words, pairs of neighbouring words, and pieces of words of three to five characters.

A key is a polynomial of codes modulo 2^64 (Karp and Rabin 1987): it depends on the token alone, so that training rows,
the vocabulary and the graph agree on it. That two tokens share a key is as good as impossible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.columns.text.characters import ALONE, SEPARATOR, Codes, code_of

PIECES = (3, 4, 5)
"""Lengths of the pieces, of which the first and last hold a separator for the boundary of the word."""
LONGEST = 20
"""Characters of a word that give pieces; the rest of it does not."""
PIECES_OF_WORD = sum(LONGEST + 3 - length for length in PIECES)
"""Windows over a word and its boundaries, most of them empty for words that are shorter than the longest."""
BASE = 0x2545F4914F6CDD1D
INVERSE = pow(BASE, -1, 1 << 64)
UNKNOWN_WORD = 1
"""Its id; 0 stands for nothing."""
FIRST_WORD = 2
"""The id of the most frequent word."""
FRAME = 2
"""Separators between two texts, so that no word reaches over both."""


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
        lengths = np.diff(self.ends, prepend=0)
        return np.asarray(np.arange(len(self.codes)) - np.repeat(self.ends - lengths, lengths))


@dataclass(frozen=True)
class Words:
    """Words in their order: where they begin in the framed codes, their lengths, keys and texts, [W] each."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    keys: Codes
    rows: NDArray[np.int64]

    @property
    def followed(self) -> NDArray[np.bool_]:
        """Whether the next word is in the same text, [W]."""
        return np.append(self.rows[1:] == self.rows[:-1], False)[: len(self.rows)]

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


def find_words(framed: Framed) -> Words:
    """All words: runs of letters and digits, and characters that stand alone."""
    codes, position = framed.codes, framed.positions
    word, attached = codes > SEPARATOR, (codes > SEPARATOR) & (codes < ALONE)
    starts = np.flatnonzero(word & ~(attached & np.roll(attached, 1)))
    ends = np.flatnonzero(word & ~(attached & np.roll(attached, -1)))
    size = int(position.max(initial=0)) + 1
    reached = np.cumsum(codes * powers(BASE, size)[position])
    keys = (reached[ends] - reached[starts - 1]) * powers(INVERSE, size)[position[starts]]
    return Words(starts, ends - starts + 1, keys, np.searchsorted(framed.ends, starts, side="right"))


def spelt(words: Sequence[str]) -> tuple[Framed, Words]:
    """Words given as their folded spellings, each as a text of its own."""
    codes = np.fromiter(map(code_of, "".join(words)), dtype=np.int64)
    framed = frame(codes, np.fromiter(map(len, words), dtype=np.int64))
    return framed, find_words(framed)


def spellings(framed: Framed, words: Words, chosen: NDArray[np.int64]) -> list[str]:
    """The chosen words as strings of their folded characters."""
    ends = np.cumsum(words.lengths[chosen])
    starts = ends - words.lengths[chosen]
    place = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(words.starts[chosen] - starts, ends - starts)
    points = (framed.codes[place] & (ALONE - 1)).astype(np.uint32)
    text = points.tobytes().decode("utf-32-le")
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def piece_keys(framed: Framed, words: Words, chosen: NDArray[np.int64]) -> tuple[Codes, NDArray[np.bool_]]:
    """Keys of all windows over the chosen words, [M, PIECES_OF_WORD], and which are pieces of them."""
    offset = np.arange(LONGEST + 2)
    inside = (offset >= 1) & (offset <= words.lengths[chosen, None])
    place = (words.starts[chosen, None] - 1 + offset).clip(max=max(0, len(framed.codes) - 1))
    codes = np.where(inside, framed.codes[place], SEPARATOR)
    found = [_windows(codes, inside, length) for length in PIECES]
    return np.concatenate([keys for keys, _ in found], axis=1), np.concatenate([valid for _, valid in found], axis=1)


def _windows(codes: Codes, inside: NDArray[np.bool_], length: int) -> tuple[Codes, NDArray[np.bool_]]:
    """Keys of all windows of one length, and which have their middle inside and are not just the whole word."""
    count = codes.shape[1] - length + 1
    keys = np.zeros((len(codes), count), dtype=np.int64)
    valid = inside[:, :count] | inside[:, length - 1 :]
    for offset in range(length):
        keys = keys * np.int64(BASE) + codes[:, offset : offset + count]
        if 0 < offset < length - 1:
            valid &= inside[:, offset : offset + count]
    return keys, valid
