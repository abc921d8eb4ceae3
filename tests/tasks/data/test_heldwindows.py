"""Lists in a table are the windows of their rows, whatever way Arrow holds them."""

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS
from models.errors import InputError
from tasks.data.batches import RawBatch
from tasks.data.windows import windows_of

WAVE = KINDS["series"].settings(window=3)
LISTS = [[1, 2, 3], None, [1, 2], [4, None, 6], [], [1, 2, float("inf")], [7, 8, 9]]
REASONS = [None, None, "a window is a list of 3 numbers", None, "a window is a list of 3 numbers", "not finite", None]


def batch(lists: pa.Array) -> RawBatch:
    return RawBatch("a.parquet", np.arange(1, len(lists) + 1), pa.table({"wave": lists}))


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float64())], ids=str)
def test_each_row_keeps_the_window_that_it_holds(kind: pa.DataType) -> None:
    windows = windows_of(None, {"wave": WAVE}, ())
    assert windows is not None
    lists = pa.array([[0.0] * 3, *LISTS], kind)[1:]
    [found] = windows.of(iter([batch(lists)]))
    parsed = KINDS["series"].parse(found.gathered["wave"], WAVE, ())
    assert found.gathered["wave"].field("failure").to_pylist() == REASONS
    assert {refusal.reason: np.flatnonzero(refusal.rows).tolist() for refusal in parsed.refusals} == {
        "a window is a list of 3 numbers": [2, 4], "not finite": [5],
    }  # fmt: skip
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(
        KINDS["series"].to_input(parsed.values, WAVE),
        [[1, 2, 3], nothing, nothing, [4, np.nan, 6], nothing, nothing, [7, 8, 9]],
    )
    assert parsed.values.null_count == 4 and found.rows.tolist() == list(range(1, 8))


def test_lists_of_one_size_and_integers_are_windows_too() -> None:
    windows = windows_of(None, {"wave": WAVE}, ())
    assert windows is not None
    for kind in (pa.list_(pa.int64(), 3), pa.list_(pa.float32(), 3)):
        [found] = windows.of(iter([batch(pa.array([[9, 9, 9], [1, 2, 3], None, [4, 5, 6]], kind)[1:])]))
        content = KINDS["series"].parse(found.gathered["wave"], WAVE, ()).values
        assert content.is_valid().to_pylist() == [True, False, True]
        assert KINDS["series"].to_input(content, WAVE)[[0, 2]].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_lists_are_not_learnt_from() -> None:
    windows = windows_of(None, {"wave": WAVE}, (), "y")
    assert windows is not None
    with pytest.raises(InputError, match=r"a\.parquet: 'wave': lists are for scoring"):
        list(windows.of(iter([batch(pa.array([[1, 2, 3]]))])))
