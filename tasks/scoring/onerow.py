"""One row at a time in the caller's own process: what each call would allocate is kept by each thread."""

import threading
from collections.abc import Callable, Sequence
from operator import ge, le
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.predictor import Predictor
from tasks.scoring.rows import NUMERIC, Row, RowReader

T = TypeVar("T")


class _Kept(threading.local):
    """The numbers of the row at hand, and graph inputs, of which those of numbers look at them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.wide, self.narrow = np.empty(len(names), np.float64), np.empty(len(names), np.float32)
        self.feed: dict[str, NDArray[Any]] = {name: self.narrow[at : at + 1] for at, name in enumerate(names)}


def one_row(graph: Predictor, reader: RowReader, word: Callable[[Any], T]) -> Callable[[Row], T | None]:
    """What scores a row as `RowReader.read_rows` and the graph do, for any number of threads.

    `word` is given the graph's outputs [1, ...]. Of a row in which a cell is not plain, is new or is absent, nothing is
    returned, nor for a reader that does not remember all columns but numbers.
    """
    if not reader.all_remembered:
        return lambda row: None
    kept, take, remembered = _Kept(reader.numbers), reader.number_cells, [*reader.remembered.items()]
    lowest, highest, are_within = reader.lowest, reader.highest, reader.are_within
    are_plain, outputs, run = NUMERIC.issuperset, graph.outputs, graph.session.run

    # One function that calls none of ours: after a graph has had the processor's cache, each has to be loaded anew.
    def predict(row: Row) -> T | None:
        feed, wide = kept.feed, kept.wide
        try:
            cells = take(row)
            if not are_plain(map(type, cells)):
                return None
            for name, known in remembered:
                cell = row[name]
                feed[name] = known[cell if type(cell) is str or cell is None else (type(cell), cell)]
            wide[:] = cells
        except (KeyError, TypeError, OverflowError):
            return None
        try:
            plain = all(map(le, lowest, cells)) and all(map(ge, highest, cells))
        except TypeError:
            # One is missing.
            plain = False
        if not plain and not are_within(wide[:, None]):
            return None
        kept.narrow[:] = wide
        return word(run(outputs, feed))

    return predict
