"""Rows become windows by group and time; each row ends one, or is a reject that says why not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS, ColumnSettings
from models.errors import InputError
from models.sections import Series
from tasks.data import windows as windows_module
from tasks.data.batches import Malformed, RawBatch
from tasks.data.layout import WINDOW_SPAN
from tasks.data.windows import Windows, windows_of

BY_CLOCK = Series(group="g", time="t", window=3)
SHORT = "window too short"
Ends = dict[int, list[float | None] | str]
"""By row number: the window of channel x that it ends, or why it ends none."""


def channels(window: int, *names: str) -> dict[str, ColumnSettings]:
    return {name: KINDS["series"].settings(window=window) for name in names}


def batch(start: int = 1, malformed: Sequence[Malformed] = (), **columns: Any) -> RawBatch:
    table = pa.table(
        {name: values if isinstance(values, pa.Array) else list(values) for name, values in columns.items()}
    )
    rows = np.arange(start, start + table.num_rows, dtype=np.int64)
    return RawBatch("a.csv", rows, table, tuple(malformed))


def channel(pieces: Sequence[RawBatch], name: str = "x") -> Ends:
    found: Ends = {}
    for piece in pieces:
        assert list(piece.rows) == sorted(piece.rows)
        for row, cell in zip(piece.rows.tolist(), piece.gathered[name].to_pylist(), strict=True):
            window = None if cell["content"] is None else np.frombuffer(cell["content"], "<f4").tolist()
            found[row] = cell["failure"] or [None if np.isnan(value) else value for value in window or ()]
    return found


def ends(series: Series, *batches: RawBatch, target: str | None = None) -> Ends:
    made = Windows(series, channels(series.window, "x"), ("?",), target)
    return channel(list(made.of(iter(batches))))


def test_each_row_with_enough_rows_before_it_ends_a_window() -> None:
    found = ends(BY_CLOCK, batch(g="aaaab", t=[1, 2, 3, 4, 5], x=[10, 20, 30, 40, 50]))
    assert found == {1: SHORT, 2: SHORT, 3: [10, 20, 30], 4: [20, 30, 40], 5: SHORT}


def test_no_window_holds_two_groups() -> None:
    found = ends(BY_CLOCK, batch(g="abababab", t=[1, 2, 3, 4, 5, 6, 7, 8], x=[1, -1, 2, -2, 3, -3, 4, -4]))
    assert {row: window for row, window in found.items() if window != SHORT} == {
        5: [1, 2, 3],
        6: [-1, -2, -3],
        7: [2, 3, 4],
        8: [-2, -3, -4],
    }


@given(st.permutations(list(range(12))), st.integers(1, 12))
def test_the_order_of_a_file_and_its_batches_make_no_difference(order: list[int], cut: int) -> None:
    """A row's window is known by its last value: values are all different."""
    group, time, x = list("abcabcabcaab"), [3, 1, 2, 9, 8, 7, 5, 5, 5, 6, 7, 11], list(range(100, 112))
    whole = ends(BY_CLOCK, batch(g=group, t=time, x=x))
    by_row = {row - 1: window for row, window in whole.items()}
    mixed = [[values[i] for i in order] for values in (group, time, x)]
    pieces = [
        batch(
            start + 1, g=mixed[0][start : start + cut], t=mixed[1][start : start + cut], x=mixed[2][start : start + cut]
        )
        for start in range(0, 12, cut)
    ]
    found = ends(BY_CLOCK, *pieces)
    assert {order[row - 1]: window for row, window in found.items()} == by_row


def test_a_clock_that_jumps_back_within_a_file_is_sorted() -> None:
    found = ends(BY_CLOCK, batch(g="aaaa", t=[1, 2, 4, 3], x=[10, 20, 40, 30]))
    assert found == {1: SHORT, 2: SHORT, 3: [20, 30, 40], 4: [10, 20, 30]}


def test_without_a_time_rows_are_windows_as_they_lie() -> None:
    found = ends(Series(group="g", window=2), batch(g="abaa", t=[9, 8, 7, 6], x=[1, 2, 3, 4]))
    assert found == {1: SHORT, 2: SHORT, 3: [1, 3], 4: [3, 4]}


def test_without_a_group_all_rows_are_one() -> None:
    assert ends(Series(time="t", window=2), batch(t=[2, 1, 3], x=[2, 1, 3])) == {1: [1, 2], 2: SHORT, 3: [2, 3]}


def test_of_rows_with_one_stamp_the_first_counts() -> None:
    found = ends(BY_CLOCK, batch(g="aaaab", t=[1, 2, 2, 3, 2], x=[1, 2, 9, 3, 5]))
    assert found == {1: SHORT, 2: SHORT, 3: "duplicate time", 4: [1, 2, 3], 5: SHORT}


def test_no_window_reaches_over_a_gap() -> None:
    series = BY_CLOCK.model_copy(update={"max_gap": 5.0})
    found = ends(series, batch(g="aaaaaaa", t=[0, 5, 10, 15.5, 16, 17, 18], x=[1, 2, 3, 4, 5, 6, 7]))
    assert found == {1: SHORT, 2: SHORT, 3: [1, 2, 3], 4: SHORT, 5: SHORT, 6: [4, 5, 6], 7: [5, 6, 7]}


def test_a_gap_between_files_is_one_too() -> None:
    series = Series(group="g", time="t", window=2, max_gap=5)
    made = Windows(series, channels(2, "x"), ())
    list(made.of(iter([batch(g="ab", t=[0, 0], x=[1, 10])])))
    assert channel(list(made.of(iter([batch(g="ab", t=[6, 5], x=[2, 20])])))) == {1: SHORT, 2: [10, 20]}


def test_a_gap_between_dates_is_in_seconds() -> None:
    series = Series(time="t", window=2, max_gap=60)
    stamps = ["2024-01-01T00:00:00", "2024-01-01T00:01:00", "2024-01-01T00:02:01"]
    assert ends(series, batch(t=stamps, x=[1, 2, 3])) == {1: SHORT, 2: [1, 2], 3: SHORT}


@pytest.mark.parametrize(
    "stamps",
    [
        pa.array(["2024-03-02", "2024-03-01 23:59", "2024-03-02T00:00:01Z"]),
        pa.array(pd.to_datetime(["2024-03-02T00:00:00", "2024-03-01T23:59:00", "2024-03-02T00:00:01"])),
        pa.array(pd.to_datetime(["2024-03-02", "2023-03-02", "2024-03-03"]).date),
        pa.array(["2", "1.5", "10"]),
        pa.array([2.0, -1.5, 10.0]),
    ],
    ids=["texts", "timestamps", "dates", "numbers as texts", "numbers"],
)
def test_time_may_be_dates_or_numbers(stamps: pa.Array) -> None:
    assert ends(Series(time="t", window=2), batch(t=stamps, x=[2, 1, 3])) == {1: [1, 2], 2: SHORT, 3: [2, 3]}


def test_a_row_without_group_or_time_is_a_reject_and_in_no_window() -> None:
    found = ends(
        BY_CLOCK, batch(g=["a", "a", "?", "a", None, "a"], t=["1", "2", "3", "", "4", "5"], x=[1, 2, 3, 4, 5, 6])
    )
    assert found == {1: SHORT, 2: SHORT, 3: "missing g", 4: "no time in t", 5: "missing g", 6: [1, 2, 6]}


def test_a_stamp_that_is_no_time_is_a_reject() -> None:
    found = ends(Series(time="t", window=2), batch(t=["1", "soon", "2"], x=[1, 2, 3]))
    assert found == {1: SHORT, 2: "no time in t", 3: [1, 3]}


@pytest.mark.parametrize("target", [None, "y"])
def test_a_file_without_any_usable_row_is_all_rejects(target: str | None) -> None:
    series = BY_CLOCK.model_copy(update={"target": "max"})
    made = batch(g=pa.nulls(2, pa.string()), t=[1, 2], x=[1, 2], y=[1, 2])
    assert ends(series, made, target=target) == {1: "missing g", 2: "missing g"}


def test_a_bad_cell_is_one_reject_and_missing_in_the_windows_around() -> None:
    found = ends(BY_CLOCK, batch(g="aaaaa", t=[1, 2, 3, 4, 5], x=["1", "2", "3", "warm", "5"]))
    assert found == {1: SHORT, 2: SHORT, 3: [1, 2, 3], 4: "wrong type", 5: [3, None, 5]}


def test_a_missing_cell_is_no_reject() -> None:
    assert ends(Series(time="t", window=2), batch(t=[1, 2, 3], x=["1", "?", "3"])) == {
        1: SHORT,
        2: [1, None],
        3: [None, 3],
    }


def test_a_row_is_refused_once_whatever_is_wrong_in_its_channels() -> None:
    made = Windows(Series(time="t", window=2), channels(2, "x", "z"), ())
    pieces = list(made.of(iter([batch(t=[1, 2, 3, 3], x=["1", "no", "3", "no"], z=["1", "no", "no", "4"])])))
    assert channel(pieces, "x") == {1: SHORT, 2: "wrong type", 3: [None, 3], 4: "wrong type"}
    assert {row: why for row, why in channel(pieces, "z").items() if why} == {2: "wrong type", 3: "wrong type"}


def test_channels_keep_their_own_values() -> None:
    made = Windows(Series(time="t", window=2), channels(2, "x", "z"), ())
    pieces = list(made.of(iter([batch(t=[2, 1, 3], x=[2, 1, 3], z=[20, 10, 30])])))
    assert channel(pieces, "z") == {1: [10, 20], 2: [], 3: [20, 30]}


def test_only_training_strides() -> None:
    """Windows of 3 end at the 3rd, 5th and 7th row of each group; rows before the 3rd are too short."""
    series = BY_CLOCK.model_copy(update={"stride": 2})
    rows = batch(g="a" * 8, t=range(8), x=range(8))
    made = Windows(series, channels(3, "x"), (), target="y")
    pieces = list(made.of(iter([rows])))
    assert channel(pieces) == {1: SHORT, 2: SHORT, 3: [0, 1, 2], 5: [2, 3, 4], 7: [4, 5, 6]}
    assert [piece.skipped for piece in pieces] == [3]
    assert sorted(ends(series, rows)) == list(range(1, 9))


def test_groups_go_on_in_the_next_file() -> None:
    made = Windows(BY_CLOCK, channels(3, "x"), ())
    first = channel(list(made.of(iter([batch(g="aaab", t=[3, 2, 1, 1], x=[3, 2, 1, 10])]))))
    assert first == {1: [1, 2, 3], 2: SHORT, 3: SHORT, 4: SHORT}
    assert channel(list(made.of(iter([batch(g="ba", t=[2, 4], x=[20, 4])])))) == {1: SHORT, 2: [2, 3, 4]}
    assert channel(list(made.of(iter([batch(g="b", t=[3], x=[30])])))) == {1: [10, 20, 30]}
    assert channel(list(made.of(iter([batch(g="a", t=[5], x=[5])])))) == {1: [3, 4, 5]}, "kept while it was away"


def test_files_in_a_row_give_what_one_file_gives() -> None:
    rows = {"g": list("abaabbabab"), "t": list(range(10)), "x": list(range(100, 110))}
    whole = ends(BY_CLOCK, batch(**rows))
    made, found = Windows(BY_CLOCK, channels(3, "x"), ()), {}
    for start, end in ((0, 1), (1, 4), (4, 8), (8, 10)):
        part = batch(**{name: values[start:end] for name, values in rows.items()})
        found |= {start + row: window for row, window in channel(list(made.of(iter([part])))).items()}
    assert found == whole


def test_a_group_whose_clock_starts_anew_in_the_next_file_is_another_one() -> None:
    made = Windows(Series(group="g", time="t", window=2), channels(2, "x"), ())
    list(made.of(iter([batch(g="aabb", t=[5, 6, 1, 2], x=[1, 2, 10, 20])])))
    assert channel(list(made.of(iter([batch(g="abb", t=[1, 3, 4], x=[3, 30, 40])])))) == {
        1: SHORT,
        2: [20, 30],
        3: [30, 40],
    }


@pytest.mark.parametrize("first", [6, 7])
def test_no_window_joins_what_was_before_a_clock_jumped_back_and_after(first: int) -> None:
    """Nor the rows that are earlier than all of the next file; where no row is, as in group b, it goes on."""
    made = Windows(Series(group="g", time="t", window=3), channels(3, "x"), ())
    list(made.of(iter([batch(g="a" * 8 + "bbb", t=[*range(8), 4, 5, 6], x=[*range(8), -4, -5, -6])])))
    after = batch(g="aaaab", t=[*range(first, first + 4), 7], x=[100, 101, 102, 103, -7])
    assert channel(list(made.of(iter([after])))) == {
        1: SHORT,
        2: SHORT,
        3: [100, 101, 102],
        4: [101, 102, 103],
        5: [-5, -6, -7],
    }


def test_a_group_goes_on_after_a_file_without_any_usable_row() -> None:
    made = Windows(Series(group="g", time="t", window=2), channels(2, "x"), ())
    for group, time in ([None], 9), (["a"], 1), ([None], 9):
        list(made.of(iter([batch(g=pa.array(group, pa.string()), t=[time], x=[time])])))
    assert channel(list(made.of(iter([batch(g="a", t=[2], x=[2])])))) == {1: [1, 2]}


def test_without_a_time_each_file_is_on_its_own() -> None:
    made = Windows(Series(window=2), channels(2, "x"), ())
    for _ in range(2):
        assert channel(list(made.of(iter([batch(x=[1, 2, 3])])))) == {1: SHORT, 2: [1, 2], 3: [2, 3]}


def test_batches_that_read_a_column_otherwise_are_one_file() -> None:
    """JSON lines say types batch by batch: whole numbers here, texts there."""
    pieces = [
        batch(g=pa.array([7, 7]), t=pa.array([1, 2]), x=pa.array([1, 2])),
        batch(3, g=pa.array(["7", "8"]), t=pa.array(["3", "1"]), x=pa.array(["bad", "4"])),
        batch(5, g=pa.array([7]), t=pa.array([4.5]), x=pa.array([1.0])),
    ]
    assert ends(Series(group="g", time="t", window=2), *pieces) == {
        1: SHORT,
        2: [1, 2],
        3: "wrong type",
        4: SHORT,
        5: [None, 1],
    }


@pytest.mark.parametrize(("over", "expected"), [("max", [None, None, 3, 5, 5]), ("mean", [None, None, 2, 3, 3.5])])
def test_a_target_over_the_window(over: str, expected: list[float | None]) -> None:
    """Missing values of the target are passed over."""
    series = BY_CLOCK.model_copy(update={"target": over})
    rows = batch(g="aaaaa", t=[1, 2, 3, 4, 5], x=[0] * 5, y=["1", "2", "3", "5" if over == "max" else "4", "?"])
    (piece,) = Windows(series, channels(3, "x"), ("?",), "y").of(iter([rows]))
    assert piece.gathered["y"].to_pylist() == expected


def test_a_target_at_the_end_stays_in_the_table() -> None:
    (piece,) = Windows(BY_CLOCK, channels(3, "x"), (), "y").of(iter([batch(g="a", t=[1], x=[1], y=["up"])]))
    assert "y" not in piece.gathered and piece.table["y"].to_pylist() == ["up"]


def test_a_target_of_words_has_no_mean() -> None:
    series = Series(time="t", window=2, target="mean")
    with pytest.raises(InputError, match=r"a\.csv: series\.target = 'mean' needs a target of numbers"):
        list(Windows(series, channels(2, "x"), (), "y").of(iter([batch(t=[1, 2], x=[1, 2], y=["up", "down"])])))


def test_malformed_rows_are_passed_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "BYTES_AT_ONCE", 4 * 2 * 2)
    bad = Malformed(2, "1,2,3,4", "too many fields")
    rows = (batch(t=[1], x=[1], malformed=[bad]), batch(3, t=[2, 3, 4, 5], x=[2, 3, 4, 5]))
    pieces = list(Windows(Series(time="t", window=2), channels(2, "x"), ()).of(iter(rows)))
    assert [piece.rows.tolist() for piece in pieces] == [[1, 3], [4, 5], [6]]
    assert [piece.malformed for piece in pieces] == [(bad,), (), ()]
    assert channel(pieces) == {1: SHORT, 3: [1, 2], 4: [2, 3], 5: [3, 4], 6: [4, 5]}


def test_there_are_no_windows_without_a_series() -> None:
    assert windows_of(BY_CLOCK, {"x": KINDS["number"].settings()}, ()) is None


def test_an_empty_file_gives_nothing() -> None:
    assert list(Windows(BY_CLOCK, channels(3, "x"), ()).of(iter([]))) == []


def test_the_span_of_a_window_is_its_time_from_first_to_last_row() -> None:
    (piece,) = Windows(BY_CLOCK, channels(3, "x"), ()).of(iter([batch(g="aaaa", t=[1, 3, 4, 9], x=[0] * 4)]))
    assert piece.gathered[WINDOW_SPAN].to_pylist()[2:] == [3, 6]
