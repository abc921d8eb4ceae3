"""One row by itself is scored as it is among others, whatever its cells are and whichever thread asks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from models.columns import KINDS
from tasks.scoring.onerow import one_row
from tasks.scoring.predictor import Predictor
from tasks.scoring.rows import RowReader, RowsError
from tests.contracts import contract_of
from tests.tasks.scoring.test_rows import CELLS, COLUMNS, GOOD, MISSING, MIXED

PLAIN = {name: settings for name, settings in COLUMNS.items() if name != "said"}


class Echo:
    """Stands for a graph and its session: returns copies of what it is fed, once everything else has had its turn."""

    outputs = ("all",)

    @property
    def session(self) -> "Echo":
        return self

    def run(self, outputs: Sequence[str], feed: dict[str, Any]) -> dict[str, Any]:
        taken = {name: values.copy() for name, values in feed.items()}
        assert all(values.dtype == feed[name].dtype for name, values in taken.items())
        return taken


def reading() -> RowReader:
    return RowReader(contract_of(PLAIN, missing=MISSING))


def graph() -> Predictor:
    return cast(Predictor, Echo())


@settings(deadline=None)
@given(some.data())
def test_a_row_means_what_it_means_to_the_reader(data: Any) -> None:
    reader = reading()
    predict = one_row(graph(), reader, lambda feed: feed)
    reader.read_rows([GOOD])
    names = data.draw(some.lists(some.sampled_from(list(PLAIN)), min_size=1, unique=True))
    cells = {name: data.draw(some.one_of(CELLS[name], some.sampled_from([*MIXED, [1], {"a": 1}]))) for name in names}
    row = GOOD | cells
    for _ in range(2):
        # What is new at first is remembered then.
        found = predict(row)
        try:
            wanted = reading().read_rows([row])
        except RowsError:
            assert found is None
            return
        if found is not None:
            assert list(found) == list(PLAIN) and all(found[name].shape == (1,) for name in PLAIN)
            np.testing.assert_equal(found, wanted)
            assert all(found[name].dtype == wanted[name].dtype for name in PLAIN)
        reader.read_rows([row])


def test_plain_rows_take_the_short_way() -> None:
    reader = reading()
    predict = one_row(graph(), reader, lambda feed: feed)
    assert predict(GOOD) is None
    reader.read_rows([GOOD])
    for more in ({}, {"load": None}, {"heat": 7}, {"heat": float("nan")}, {"load": 50, "other": 1}):
        assert predict(GOOD | more) is not None
    for more in ({"load": 50.1}, {"heat": 1e39}, {"heat": 10**400}, {"heat": True}, {"shop": "unheard of"}):
        assert predict(GOOD | more) is None
    assert predict({"load": 1}) is None


def test_threads_do_not_get_in_each_others_way() -> None:
    reader = reading()
    predict = one_row(graph(), reader, lambda feed: float(feed["load"][0]))
    reader.read_rows([GOOD])

    def ask(number: int) -> bool:
        return all(predict(GOOD | {"load": number}) == number for _ in range(300))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


def test_columns_that_are_not_remembered_take_the_long_way() -> None:
    reader = RowReader(contract_of({"said": KINDS["text"].settings()}))
    assert one_row(graph(), reader, lambda feed: feed)({"said": "well"}) is None
