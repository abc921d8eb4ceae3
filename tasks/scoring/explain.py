"""Why a row is decided as it is: how much of the decision is lost without each word and each column."""

from collections.abc import Collection, Iterator, Mapping
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.text.characters import code_of
from models.columns.text.tokens import find_words, frame
from tasks.data.contents import BYTES_AT_ONCE, row_bytes
from tasks.scoring.predictor import Predictions, Predictor

SHOWN = 4
"""Parts that are named, those that matter most."""
LEAST = 0.005
"""Of a probability; parts that matter less are not named."""
MOST_WORDS = 300
"""Of a text, from its beginning."""
LONGEST = 40
"""Characters of a word that are shown; of a longer one the last of them is an ellipsis."""
AT_ONCE = 4096
"""Rows that are predicted together; fewer where pictures, recordings or windows are large."""

Floats = NDArray[np.float64]
Part = tuple[int, str, str, str | None]
"""Row, what is left out, its column, and the text without it; None for the column as a whole."""


def explain(predictor: Predictor, columns: Mapping[str, pa.Array], predictions: Predictions) -> list[str]:
    """For each row the parts that matter most to its decision, each with what the decision loses without it.

    "“money” +0.31, tier -0.02" says that the probability of the label is .31 lower without the word and .02 higher
    without the tier; of a regression it is the value that changes. Leaving parts out one by one is the plainest form
    of occlusion (Zeiler and Fergus 2014). One prediction is made for every word of every text, so this takes long.
    """
    usual = _support(predictions, None, np.arange(len(next(iter(columns.values())))))
    found: list[list[tuple[float, str]]] = [[] for _ in usual]
    least = LEAST if predictions.values is None else 0.0
    large = row_bytes({column.name: column.settings for column in predictor.contract.columns})
    most = max(1, min(AT_ONCE, BYTES_AT_ONCE // max(large, 1)))
    for parts in _portions(_parts(columns, predictor.contract.sensitive), most):
        rows = np.array([part[0] for part in parts])
        without = _support(predictor.predict(_left_out(columns, parts)), predictions, rows)
        for part, lost in zip(parts, (usual[rows] - without).tolist(), strict=True):
            if abs(lost) > least:
                found[part[0]].append((lost, part[1]))
    return [_worded(parts) for parts in found]


def _support(predictions: Predictions, decided: Predictions | None, rows: NDArray[np.int64]) -> Floats:
    """What the predictions say for the label that was decided for each of the rows, or their value, [M]."""
    if predictions.values is not None:
        return predictions.values.astype(np.float64)
    index, probabilities = (decided or predictions).index, predictions.probabilities
    if index is None or probabilities is None:
        raise TypeError("predictions of classes have an index and probabilities")
    return probabilities[np.arange(len(rows)), index[rows]].astype(np.float64)


def _parts(columns: Mapping[str, pa.Array], sensitive: Collection[str]) -> Iterator[Part]:
    """Every word of the texts, and every other value that is there; of sensitive texts no word is told."""
    for name, values in columns.items():
        if pa.types.is_string(values.type) and name not in sensitive:
            for row, text in enumerate(values.to_pylist()):
                yield from _words(row, name, text or "")
        else:
            yield from ((int(row), name, name, None) for row in np.flatnonzero(np.asarray(values.is_valid())))


def _words(row: int, column: str, text: str) -> Iterator[Part]:
    """A space takes the place of a word, or its neighbours would become one word, whose loss it would be blamed for."""
    for start, end in _places(text)[:MOST_WORDS]:
        yield row, f"“{_shortened(text[start:end])}”", column, f"{text[:start]} {text[end:]}"


def _shortened(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST - 1]}…"


def _places(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end, by the rule that the model finds them by."""
    codes = np.fromiter(map(code_of, text), dtype=np.int64)
    words = find_words(frame(codes, np.array([len(text)])))
    starts = words.starts - 1  # a separator of the frame is in front
    return list(zip(starts.tolist(), (starts + words.lengths).tolist(), strict=True))


def _portions(parts: Iterator[Part], most: int) -> Iterator[list[Part]]:
    while portion := list(islice(parts, most)):
        yield portion


def _left_out(columns: Mapping[str, pa.Array], parts: list[Part]) -> dict[str, pa.Array]:
    """The rows of the parts, each without its part."""
    rows = np.array([part[0] for part in parts])
    changed: dict[str, pa.Array] = {}
    for name, values in columns.items():
        own = [part[2] == name for part in parts]
        if pa.types.is_string(values.type):
            taken = values.take(pa.array(rows)).to_pylist()
            texts = [part[3] if mine else text for part, mine, text in zip(parts, own, taken, strict=True)]
            changed[name] = pa.array([(text or "").strip() or None for text in texts], values.type)
        else:
            changed[name] = values.take(pa.array(rows, mask=np.array(own)))
    return changed


def _worded(parts: list[tuple[float, str]]) -> str:
    """The parts that matter most, once each: a word that occurs twice is told by its larger share."""
    told: dict[str, float] = {}
    for lost, what in sorted(parts, key=lambda part: -abs(part[0])):
        told.setdefault(what, lost)
    return ", ".join(f"{what} {lost:+.2g}" for what, lost in list(told.items())[:SHOWN])
