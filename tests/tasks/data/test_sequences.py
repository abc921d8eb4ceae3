"""Rows that follow each other at regular times within a group become series; others never do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.modelfile import ModelFile, read_model_file
from tasks.data.inspect import Proposal, examine, propose

GROUPS, LENGTH = 12, 50


def fleet(groups: int = GROUPS, length: int = LENGTH) -> pd.DataFrame:
    """Rows of several machines: a reading that changes, one that does not, and a target that follows the first."""
    random = np.random.default_rng(0)
    rows = groups * length
    machine = np.repeat(np.arange(groups), length)
    wear = random.normal(size=rows).cumsum()
    return pd.DataFrame(
        {
            "machine": [f"m{i}" for i in machine],
            "cycle": np.tile(np.arange(length), groups),
            "wear": wear.round(3),
            "on": random.integers(0, 2, rows),
            "power": machine % 5 * 10.5,
            "left": (wear + 4 * random.normal(size=rows)).round(2),
        }
    )


def proposed(tmp_path: Path, frame: pd.DataFrame, target: str = "left") -> tuple[ModelFile, Proposal]:
    frame.to_csv(tmp_path / "data.csv", index=False)
    proposal = propose([str(tmp_path / "data.csv")], target, "m", tmp_path)
    (tmp_path / "m.toml").write_text(proposal.text, encoding="utf-8")
    return read_model_file(tmp_path / "m.toml"), proposal


def kinds(model_file: ModelFile) -> dict[str, str]:
    return {name: settings.kind for name, settings in model_file.columns.items()}


def test_what_changes_within_a_group_is_a_channel(tmp_path: Path) -> None:
    model_file, _ = proposed(tmp_path, fleet())
    assert kinds(model_file) == {"wear": "series", "on": "series", "power": "number"}
    series = model_file.series
    assert series is not None
    assert (series.group, series.time, series.window, series.max_gap) == ("machine", "cycle", 30, None)
    assert model_file.split.group == "machine"
    assert examine(tmp_path / "m.toml").passed


def test_the_order_of_rows_says_nothing(tmp_path: Path) -> None:
    assert kinds(proposed(tmp_path, fleet().sample(frac=1, random_state=0))[0])["wear"] == "series"


def test_windows_are_no_longer_than_nearly_all_groups(tmp_path: Path) -> None:
    frame = fleet()
    model_file, _ = proposed(tmp_path, frame[(frame["machine"] > "m2") | (frame["cycle"] < 20)])
    assert model_file.series is not None and model_file.series.window == 20


def test_gaps_are_told(tmp_path: Path) -> None:
    frame = fleet()
    frame.loc[frame["machine"].isin(["m3", "m4"]) & (frame["cycle"] > 40), "cycle"] += 100
    _, proposal = proposed(tmp_path, frame)
    assert "# max_gap = 3    # 2 steps are longer: then a new series begins; a usual step is 1" in proposal.text


def test_dates_of_machines_with_clocks_of_their_own_make_series(tmp_path: Path) -> None:
    frame = fleet()
    start = np.repeat(np.random.default_rng(1).integers(0, 10**6, GROUPS), LENGTH)
    frame["cycle"] = pd.to_datetime(1_700_000_000 + start + 60 * frame["cycle"], unit="s")
    model_file, proposal = proposed(tmp_path, frame.rename(columns={"cycle": "at"}))
    assert model_file.series is not None and model_file.series.time == "at"
    assert "a usual step is 60" in proposal.text


def test_a_few_machines_are_split_by_time(tmp_path: Path) -> None:
    frame = fleet(groups=4, length=150)
    frame["cycle"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["cycle"], unit="h")
    model_file, _ = proposed(tmp_path, frame)
    assert (model_file.split.time, model_file.split.group) == ("cycle", None)
    assert model_file.series is not None and model_file.series.group == "machine"


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows that are counted from the first machine's to the last one's."""
    return frame.assign(cycle=np.arange(len(frame)))


def in_modes(frame: pd.DataFrame) -> pd.DataFrame:
    """One machine's log, whose mode changes now and then."""
    runs = np.random.default_rng(0).permutation(len(frame) // 10)
    return frame.assign(machine=np.repeat(runs % 4, 10)[: len(frame)].astype(str)).assign(cycle=np.arange(len(frame)))


def in_turns(frame: pd.DataFrame) -> pd.DataFrame:
    """A log in which one thing after the other is seen."""
    return frame.assign(machine=(np.arange(len(frame)) % 3).astype(str), cycle=np.arange(len(frame)))


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(cycle=frame["cycle"] // 2)


def irregular(frame: pd.DataFrame) -> pd.DataFrame:
    steps = np.random.default_rng(0).exponential(100, len(frame)).astype(int) + 1
    return frame.assign(cycle=steps.cumsum() % 10**6)


def short(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["cycle"] < 20]


@pytest.mark.parametrize("change", [counted, in_modes, in_turns, doubled, irregular, short])
def test_other_tables_stay_tables(tmp_path: Path, change: object) -> None:
    assert callable(change)
    model_file, _ = proposed(tmp_path, change(fleet()))
    assert model_file.series is None and "series" not in kinds(model_file).values()


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M", "unix_ms"])
def test_clocks_of_any_format_are_written_down_and_read_so(tmp_path: Path, form: str) -> None:
    frame = fleet()
    stamps = pd.DatetimeIndex(pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["cycle"], unit="D"))
    seconds = (stamps - pd.Timestamp("1970-01-01")) // pd.Timedelta("1ms")
    frame["stamp"] = seconds if form == "unix_ms" else stamps.strftime(form)
    model_file, _ = proposed(tmp_path, frame.drop(columns="cycle"))
    assert model_file.series is not None
    assert (model_file.series.time, model_file.series.time_format) == ("stamp", form)
    found = examine(tmp_path / "m.toml")
    assert found.passed and found.rows == GROUPS * (LENGTH - 29)


def test_a_clock_may_count_fractions_of_a_second(tmp_path: Path) -> None:
    frame = fleet().rename(columns={"cycle": "t"})
    frame["t"] = frame["t"] / 10
    model_file, _ = proposed(tmp_path, frame)
    assert model_file.series is not None and model_file.series.time == "t"


def with_repeats(frame: pd.DataFrame, how: str) -> pd.DataFrame:
    """Two rows of the first machine are sent twice, or have the stamp of the row before."""
    if how == "sent twice":
        return pd.concat([frame, frame.iloc[[7, 20]].assign(wear=0.5)])
    stamps = frame["cycle"].to_numpy(copy=True)
    stamps[[7, 20]] -= 1
    return frame.assign(cycle=stamps)


@pytest.mark.parametrize("how", ["sent twice", "stamped alike"])
def test_a_few_rows_that_repeat_a_time_hide_no_series(tmp_path: Path, how: str) -> None:
    """Those sent twice are more than the clock has stamps."""
    model_file, proposal = proposed(tmp_path, with_repeats(fleet(groups=30, length=40), how))
    assert kinds(model_file)["wear"] == "series" and model_file.split.group == "machine"
    assert "sorted; 2 rows repeat a time of their group and will be rejects" in proposal.text
    assert "column 'cycle': 2 rows repeat a time of their group and will be rejects" in proposal.findings
    assert examine(tmp_path / "m.toml").reasons["duplicate time"] == 2


def test_a_log_in_which_a_few_rows_repeat_a_time_is_no_series(tmp_path: Path) -> None:
    frame = in_modes(fleet())
    model_file, _ = proposed(tmp_path, pd.concat([frame, frame.iloc[[7, 20]].assign(wear=0.5)]))
    assert model_file.series is None


def test_a_window_is_no_longer_than_a_case_without_the_rows_that_repeat_a_time(tmp_path: Path) -> None:
    frame = cases([15] + [20] * 29)
    model_file, _ = proposed(tmp_path, pd.concat([frame, frame.iloc[[3]].assign(force=0.5)]), "gesture")
    assert model_file.series is not None and model_file.series.window == 15


def cases(lengths: list[int]) -> pd.DataFrame:
    """Gestures of one class each, of these many rows."""
    random = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "case": f"g{number}",
                "step": np.arange(length),
                "force": random.normal(size=length).round(3),
                "gesture": "wave" if number % 3 else "point",
            }
        )
        for number, length in enumerate(lengths)
    ]
    return pd.concat(parts)


@pytest.mark.parametrize(
    ("lengths", "window"), [([20] * 30, 20), ([100] * 30, 100), ([14, 8, 12, 20, 16, 10] * 5, 8), ([600] * 10, 30)]
)
def test_where_a_group_is_a_case_of_one_class_a_window_spans_it(
    tmp_path: Path, lengths: list[int], window: int
) -> None:
    model_file, _ = proposed(tmp_path, cases(lengths), "gesture")
    assert kinds(model_file) == {"force": "series"}
    assert model_file.series is not None
    assert (model_file.series.group, model_file.series.window) == ("case", window)


def test_one_short_case_does_not_shorten_the_windows_of_the_others(tmp_path: Path) -> None:
    model_file, _ = proposed(tmp_path, cases([40] * 60 + [4]), "gesture")
    assert model_file.series is not None
    assert model_file.series.window == 40


def test_the_test_share_counts_cases_not_their_rows(tmp_path: Path) -> None:
    model_file, _ = proposed(tmp_path, cases([30] * 400), "gesture")
    assert model_file.split.test == pytest.approx(0.35)
