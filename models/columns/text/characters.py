"""Characters as numbers: folded to one case, and sorted into letters, signs that stand alone, and separators."""

import unicodedata
from collections.abc import Iterable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]

SEPARATOR = 1
"""What stands for white space, control characters, and whatever training rows did not hold."""
ALONE = 1 << 21
"""Added to the code point of a character that is a word by itself; every code point is smaller."""
CODE_POINTS = 0x110000
ATTACHED = ("L", "M", "N")
"""Unicode categories of letters, marks and numbers, which form words together."""
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Beginnings of the names of characters whose writing has no spaces between words."""


@cache
def code_of(character: str) -> int:
    """The code of one character, the same for its upper and lower case."""
    kind = unicodedata.category(character)
    if kind[0] in "ZC" and kind not in ("Co", "Cn"):
        return SEPARATOR
    folded = ord(_folded(character))
    unspaced = unicodedata.name(character, "").startswith(UNSPACED)
    return folded if kind[0] in ATTACHED and not unspaced else folded + ALONE


def _folded(character: str) -> str:
    """One character in place of its cases: 'σ' for 'Σ' and 'ς'."""
    folded = character.casefold()
    return folded if len(folded) == 1 else character.lower()[0]


def in_every_case(characters: Iterable[str]) -> dict[str, int]:
    """Codes of the characters and of their upper and lower cases, separators left out, in order."""
    cases = {form for c in characters for form in (c, c.upper(), c.lower()) if len(form) == 1}
    codes = {form: code_of(form) for form in sorted(cases)}
    return {form: code for form, code in codes.items() if code != SEPARATOR}


def code_table(codes: dict[str, int]) -> Codes:
    """The code of each code point, [0x110000]; those not given are separators."""
    table = np.full(CODE_POINTS, SEPARATOR, dtype=np.int64)
    table[[ord(character) for character in codes]] = list(codes.values())
    return table


def code_points(texts: pa.Array) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points of all texts one after another, and how many each text has, [N]; none where it is null."""
    joined = "".join(texts.drop_null().to_pylist())
    points = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    lengths = pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
    return points, lengths.astype(np.int64)
