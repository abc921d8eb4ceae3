"""Rows become windows by group and time; each row ends one, or is a reject that says why not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS, ColumnSettings
from models.contract import SplitSpec
from models.errors import InputError
from models.sections import Series
from tasks.data import windows as windows_module
from tasks.data.batches import Malformed, RawBatch
from tasks.data.layout import WINDOW_SPAN, stored_split_name
from tasks.data.rows import assign_rows
from tasks.data.snapshot import Ingested, ingest, open_snapshot
from tasks.data.splits import ASTRIDE, TEST, TRAIN, VALIDATION, assign, fit_split, required_columns
from tasks.data.windows import Windows, windows_of
from tests.tasks.data.conftest import Make

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


COLUMNS = 'x = "series"'
SERIES = '[series]\ngroup = "g"\ntime = "t"\nwindow = 3\n'


def ingested(tmp_path: Path, make: Make, frame: pd.DataFrame, rest: str = SERIES, name: str = "a.csv") -> Ingested:
    frame.to_csv(tmp_path / name, index=False)
    return ingest(make(COLUMNS, rest=rest), tmp_path)


def frame_of(groups: int, length: int) -> pd.DataFrame:
    """`y` is whether a group's number is odd; x counts on."""
    group = np.repeat(np.arange(groups), length)
    return pd.DataFrame(
        {"g": group, "t": np.tile(np.arange(length), groups), "x": np.arange(len(group)), "y": group % 2}
    )


def test_short_windows_are_rejects_that_do_not_count_as_bad(tmp_path: Path, make: Make) -> None:
    """2 of 6 rows end no window, far more than `max_rejects` takes."""
    found = ingested(tmp_path, make, frame_of(20, 6))
    assert (found.rows, found.rejected, found.read) == (80, 40, 120)
    assert found.reasons == {SHORT: 40}


def test_other_rejects_count_against_all_rows(tmp_path: Path, make: Make) -> None:
    frame = frame_of(20, 6).astype({"x": object})
    frame.loc[3::6, "x"] = "broken"
    with pytest.raises(InputError, match=r"20 of 120 rows are rejects \(16.7%\).*: 20 wrong type"):
        ingested(tmp_path, make, frame)


def test_series_that_are_all_too_short_are_said_to_be(tmp_path: Path, make: Make) -> None:
    with pytest.raises(InputError, match=r"every row is a reject: window too short; lower series\.window"):
        ingested(tmp_path, make, frame_of(20, 2))


def test_a_shuffled_file_has_the_same_windows(tmp_path: Path, make: Make) -> None:
    frame = frame_of(10, 8)
    ordered = ingested(tmp_path, make, frame)
    windows = set(open_snapshot(ordered.manifest).table(["x"])["x"].to_pylist())
    shuffled = ingested(tmp_path, make, frame.sample(frac=1, random_state=0))
    assert set(open_snapshot(shuffled.manifest).table(["x"])["x"].to_pylist()) == windows
    assert len(windows) == shuffled.rows == 60


def test_rows_between_strides_are_counted_apart(tmp_path: Path, make: Make) -> None:
    found = ingested(tmp_path, make, frame_of(20, 9), SERIES + "stride = 3\n")
    assert (found.rows, found.rejected, found.skipped, found.read) == (60, 40, 80, 180)


def test_a_group_that_has_a_window_is_learnt_from_whatever_the_stride(tmp_path: Path, make: Make) -> None:
    found = ingested(tmp_path, make, frame_of(20, 4), SERIES + "stride = 50\n")
    assert (found.rows, found.rejected, found.skipped, found.read) == (20, 40, 20, 80)


def test_a_target_that_is_missing_all_over_a_window_is_missing(tmp_path: Path, make: Make) -> None:
    frame = frame_of(20, 6).astype({"y": float})
    frame.loc[:2, "y"] = np.nan
    found = ingested(tmp_path, make, frame, SERIES + 'target = "max"\n')
    assert found.reasons == {SHORT: 40, "missing target": 1}


def test_a_split_keeps_groups_whole_where_no_rule_is_given(tmp_path: Path, make: Make) -> None:
    frame_of(40, 6).to_csv(tmp_path / "a.csv", index=False)
    model_file = make(COLUMNS, rest=SERIES)
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    spec = fit_split(model_file, snapshot)
    group = snapshot.table([stored_split_name("g")]).column(0).to_pylist()
    splits = assign_rows(snapshot, spec)
    assert len(set(zip(group, splits.tolist(), strict=True))) == 40
    assert set(splits.tolist()) == {TRAIN, VALIDATION, TEST}


def test_windows_astride_of_a_cut_off_are_in_no_split() -> None:
    """Cut-offs are at 100 and 200 s; windows reach 10 s back."""
    stamps = pa.array(np.array([50, 99, 100, 109, 110, 150, 205, 210, 300]) * 1_000_000).cast(pa.timestamp("us", "UTC"))
    spec = SplitSpec(
        rule="time", columns=("time", WINDOW_SPAN), validation=0.1, test=0.1, validation_from=100, test_from=200
    )
    found = assign(pa.table({"time": stamps, WINDOW_SPAN: np.full(9, 10.0)}), spec)
    astride = [TRAIN, TRAIN, ASTRIDE, ASTRIDE, VALIDATION, VALIDATION, ASTRIDE, TEST, TEST]
    assert found.tolist() == astride


def test_a_split_by_time_shares_no_row_of_any_window(tmp_path: Path, make: Make) -> None:
    frame = frame_of(6, 40)
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["t"], unit="D")
    frame.to_csv(tmp_path / "a.csv", index=False)
    model_file = make(COLUMNS, rest=SERIES + '[split]\ntime = "t"\n')
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    spec = fit_split(model_file, snapshot)
    assert required_columns(spec) == (stored_split_name("t"), WINDOW_SPAN)
    splits = assign_rows(snapshot, spec)
    windows = [np.frombuffer(cell, "<f4") for cell in snapshot.table(["x"])["x"].to_pylist()]
    held = [
        {x for window, of in zip(windows, splits, strict=True) if of == split for x in window} for split in range(3)
    ]
    assert all(held) and not held[0] & held[1] and not held[1] & held[2] and not held[0] & held[2]
    assert (splits == ASTRIDE).sum() == 2 * 2 * 6, "two windows of each group at both cut-offs"


def test_clocks_in_parquet_and_csv_give_one_snapshot(tmp_path: Path, make: Make) -> None:
    frame = frame_of(8, 6)
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["t"], unit="h")
    by_text = ingested(tmp_path, make, frame)
    (tmp_path / "a.csv").unlink()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "a.parquet")
    by_type = ingest(make(COLUMNS, sources='uri = "*.parquet"', rest=SERIES), tmp_path)
    read = [open_snapshot(found.manifest).table(["x"])["x"].to_pylist() for found in (by_text, by_type)]
    assert read[0] == read[1] and len(read[0]) == 32


@pytest.mark.parametrize("column", ['"series"', '{ kind = "series", sensitive = true }'])
def test_windows_need_a_rule_that_keeps_them_apart(make: Make, column: str) -> None:
    with pytest.raises(InputError, match=r"split: series need a group, a time or a column to split by"):
        make(f"x = {column}")


@pytest.mark.parametrize("column", ['"series"', '{ kind = "series", sensitive = true }'])
def test_the_clock_of_the_split_is_that_of_the_windows(make: Make, column: str) -> None:
    with pytest.raises(InputError, match=r"split\.time: windows are sorted by series\.time; give 'day' there too"):
        make(f"x = {column}", rest=SERIES + '[split]\ntime = "day"\n')


def test_the_window_is_said_once_for_all_channels(make: Make) -> None:
    model_file = make('x = "series"\nz = { kind = "series", sensitive = true }\nn = "number"', rest=SERIES)
    assert [getattr(settings, "window", None) for settings in model_file.columns.values()] == [3, 3, None]
    assert (model_file.split.group, model_file.columns["z"].sensitive) == ("g", True)


def test_a_channel_has_no_window_of_its_own(make: Make) -> None:
    with pytest.raises(InputError, match=r"columns\.'x'\.window: said once for all channels, as series\.window"):
        make('x = { kind = "series", window = 5 }', rest=SERIES)


def test_a_split_that_is_given_is_kept(make: Make) -> None:
    assert make(COLUMNS, rest=SERIES + '[split]\ncolumn = "s"\n').split.group is None


@pytest.mark.parametrize("window", ['"many"', "1", "2.5"])
def test_a_window_that_is_no_count_is_one_plain_problem(make: Make, window: str) -> None:
    with pytest.raises(InputError) as caught:
        make(COLUMNS, rest=f'[series]\ngroup = "g"\nwindow = {window}\n')
    assert {problem.split(": ")[1] for problem in caught.value.problems} == {"series.window"}
