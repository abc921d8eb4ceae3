"""Whether a column of strings holds prose that people wrote, rather than names, addresses, codes or single words."""

import re

import numpy as np
import pyarrow as pa

PROBED = 2000
"""Distinct texts that are looked at, from all over the column."""
LONGEST = 1000
"""Characters of each that are looked at."""
WORDS = 3.0
"""Words that prose has on average..."""
CHARACTERS = 20.0
"""...or else characters, if there is more than one word."""
TITLED = 0.65
"""Share of words that begin with a capital letter from which on short texts are names."""
LONG = 8.0
"""Words from which on texts are no names, however they are written."""
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""A character of Chinese, Japanese, Thai, Lao, Burmese or Khmer, which are written without spaces between words."""
CHARACTERS_OF_WORD = 2.0
"""In those: a name has two to four characters, and must not count as three words."""
NAME = re.compile(r"(^|[\W_])(sur|last|first|full|user)?(name|address|street)s?$", re.IGNORECASE)
NOT_LETTERS = re.compile(r"[\W\d_]+")


def reads_as_prose(name: str, known: pa.Array, rows: int) -> bool:
    """Whether the column `name`, which holds the distinct texts `known` in so many rows, is prose."""
    if not _mostly_distinct(len(known), rows):
        return False
    chosen = np.unique(np.linspace(0, len(known) - 1, PROBED).astype(np.int64))
    texts = [text[:LONGEST] for text in known.take(pa.array(chosen)).to_pylist()]
    tokens = " ".join(texts).split()
    spelt = list(filter(None, map(_letters, tokens)))
    unspaced = sum(len(UNSPACED.findall(text)) for text in texts) / CHARACTERS_OF_WORD
    words = (len(tokens) + unspaced) / len(texts)
    long = words >= WORDS or (words >= 2 and sum(map(len, texts)) >= CHARACTERS * len(texts))
    if not long or len(spelt) < len(tokens) / 2:
        return False
    titled = sum(word[0].isupper() and not word[1:].isupper() for word in spelt)
    return words >= LONG or not (NAME.search(name) or titled > TITLED * len(spelt))


def _letters(token: str) -> str:
    """The letters of a word; nothing of a token in which digits are as many, as they are in codes."""
    letters = NOT_LETTERS.sub("", token)
    return letters if len(letters) > sum(map(str.isdigit, token)) else ""


def _mostly_distinct(distinct: int, rows: int) -> bool:
    """Whether values hardly repeat, so that each of them says little as a category."""
    return 2 * distinct > rows or (distinct > 50 and 10 * distinct > rows)
