"""Windows in snapshots: what is counted, which split they are in, and what a model file may say of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.contract import SplitSpec
from models.errors import InputError
from models.modelfile import ModelFile
from tasks.data.examine import examine
from tasks.data.layout import WINDOW_SPAN, stored_split_name
from tasks.data.rows import assign_rows
from tasks.data.snapshot import Ingested, ingest, open_snapshot
from tasks.data.splits import ASTRIDE, TEST, TRAIN, VALIDATION, assign, fit_split, required_columns
from tasks.data.windows import TOO_SHORT
from tests.tasks.data.conftest import Make

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
    assert found.reasons == {TOO_SHORT: 40}


def test_other_rejects_count_against_all_rows(tmp_path: Path, make: Make) -> None:
    frame = frame_of(20, 6).astype({"x": object})
    frame.loc[3::6, "x"] = "broken"
    with pytest.raises(InputError, match=r"20 of 120 rows are rejects \(16.7%\).*: 20 wrong type"):
        ingested(tmp_path, make, frame)


def test_rows_that_repeat_a_time_count_against_all_rows(tmp_path: Path, make: Make) -> None:
    frame = frame_of(20, 6)
    frame.loc[3::6, "t"] = 2
    with pytest.raises(InputError, match=r"20 of 120 rows are rejects \(16.7%\).*: 20 duplicate time"):
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
    assert found.reasons == {TOO_SHORT: 40, "missing target": 1}


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


def held_by_split(model_file: ModelFile, tmp_path: Path) -> list[set[float]]:
    """The values of x that windows of train, validation and test hold."""
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    splits = assign_rows(snapshot, fit_split(model_file, snapshot))
    windows = [np.frombuffer(cell, "<f4") for cell in snapshot.table(["x"])["x"].to_pylist()]
    return [
        {x for window, of in zip(windows, splits, strict=True) if of == split for x in window} for split in range(3)
    ]


def apart(held: list[set[float]]) -> bool:
    return all(held) and not held[0] & held[1] and not held[1] & held[2] and not held[0] & held[2]


def test_groups_that_go_on_in_a_source_of_another_split_share_no_row(tmp_path: Path, make: Make) -> None:
    frame = frame_of(8, 40)
    early = frame["t"] < 30
    frame[early].to_csv(tmp_path / "train.csv", index=False)
    frame[~early].to_csv(tmp_path / "later.csv", index=False)
    sources = 'uri = "train.csv"|uri = "later.csv"\nsplit = "test"'
    assert apart(held_by_split(make(COLUMNS, sources=sources, rest=SERIES), tmp_path))


def test_a_column_of_splits_cuts_series(tmp_path: Path, make: Make) -> None:
    frame = frame_of(8, 40)
    frame["part"] = np.select([frame["t"] < 20, frame["t"] < 25, frame["t"] < 33], ["train", "val", "test"], "train")
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert apart(held_by_split(make(COLUMNS, rest=SERIES + '[split]\ncolumn = "part"\n'), tmp_path))


def test_a_group_of_the_split_that_changes_cuts_series(tmp_path: Path, make: Make) -> None:
    frame = frame_of(8, 40)
    frame["site"] = frame["g"] * 4 + frame["t"] // 10
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert apart(held_by_split(make(COLUMNS, rest=SERIES + '[split]\ngroup = "site"\n'), tmp_path))


def test_the_group_of_the_split_is_that_of_the_series_where_none_is_given(make: Make) -> None:
    model_file = make(COLUMNS, rest='[series]\ntime = "t"\n[split]\ngroup = "g"\n')
    assert model_file.series is not None and model_file.series.group == "g"


@pytest.mark.parametrize(
    ("form", "write"),
    [
        ("%d.%m.%Y %H:%M", lambda stamps: stamps.strftime("%d.%m.%Y %H:%M")),
        ("unix_ms", lambda stamps: stamps.astype("int64") // 1000 if stamps.unit == "us" else stamps.astype("int64")),
    ],
)
def test_clocks_are_read_as_the_model_file_says(
    tmp_path: Path, make: Make, form: str, write: Callable[[pd.DatetimeIndex], Any]
) -> None:
    """Thirteen days into a month no other reading is possible; gaps are in seconds whatever the unit."""
    frame = frame_of(1, 40)
    stamps = pd.DatetimeIndex(pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["t"], unit="D")).as_unit("us")
    frame = pd.concat([frame.assign(g=group, t=write(stamps)) for group in range(6)])
    frame["x"], frame["y"] = np.arange(len(frame)), frame["g"] % 2
    rest = f'[series]\ngroup = "g"\ntime = "t"\ntime_format = "{form}"\nwindow = 3\nmax_gap = 90000\n'
    found = ingested(tmp_path, make, frame.sample(frac=1, random_state=0), rest)
    assert (found.rows, found.reasons) == (6 * 38, {TOO_SHORT: 12})


def test_a_file_without_the_group_of_windows_is_rejects_and_not_silence(tmp_path: Path, make: Make) -> None:
    frame_of(8, 20).to_csv(tmp_path / "train.csv", index=False)
    frame_of(2, 20).drop(columns="g").to_csv(tmp_path / "test.csv", index=False)
    sources = 'uri = "train.csv"|uri = "test.csv"\nsplit = "test"'
    with pytest.raises(InputError, match="missing g"):
        ingest(make(COLUMNS, sources=sources, rest=SERIES), tmp_path)


def test_a_warning_says_that_most_rows_end_no_window(tmp_path: Path, make: Make) -> None:
    found = ingested(tmp_path, make, frame_of(8, 4), SERIES.replace("3", "3\nstride = 1"))
    assert found.warnings == (), "half of the rows are too short"
    (warning,) = ingested(tmp_path, make, frame_of(8, 3)).warnings
    assert warning == "16 of 24 rows end no full window; look at series.window, group and max_gap"


def test_check_tells_of_windows_astride(tmp_path: Path, make: Make) -> None:
    frame = frame_of(6, 40)
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["t"], unit="D")
    frame.to_csv(tmp_path / "a.csv", index=False)
    make(COLUMNS, rest=SERIES + '[split]\ntime = "t"\n')
    found = examine(tmp_path / "model.toml")
    assert found.passed and found.splits["astride of two"] == 24 and sum(found.splits.values()) == 6 * 38


def test_check_shows_an_example_of_each_reason_and_short_windows_last(tmp_path: Path, make: Make) -> None:
    frame = frame_of(20, 20).astype({"x": object, "t": object})
    frame.loc[[45, 46], "x"] = "broken"
    frame.loc[50, "t"] = "soon"
    frame.loc[75, "t"] = 14
    frame.to_csv(tmp_path / "a.csv", index=False)
    make(COLUMNS, rest=SERIES)
    shown = [(example["row"], example["reason"]) for example in examine(tmp_path / "model.toml").examples]
    assert shown == [
        (46, "wrong type"),
        (51, "no time in t"),
        (76, "duplicate time"),
        (1, TOO_SHORT),
        (47, "wrong type"),
    ]


def test_check_shows_as_many_short_windows_as_others_leave_room_for(tmp_path: Path, make: Make) -> None:
    frame_of(20, 20).to_csv(tmp_path / "a.csv", index=False)
    make(COLUMNS, rest=SERIES)
    shown = [(example["row"], example["reason"]) for example in examine(tmp_path / "model.toml").examples]
    assert shown == [(row, TOO_SHORT) for row in (1, 2, 21, 22, 41)]


@pytest.mark.parametrize("section", ["", 'time = "t"'])
def test_windows_without_a_channel_are_a_mistake(make: Make, section: str) -> None:
    with pytest.raises(InputError, match="series: no column is a series; remove the section"):
        make('n = "number"', rest=f"[series]\n{section}\n")


@pytest.mark.parametrize("key", ["group", "time"])
def test_the_target_makes_no_windows(make: Make, key: str) -> None:
    with pytest.raises(InputError, match="series: the target 'y' can't group or sort the rows"):
        make(COLUMNS, rest=f'[series]\n{key} = "y"\n[split]\ncolumn = "s"\n')
