"""Splits by hash, group, time, a given column and whole sources."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import SplitSpec
from models.errors import InputError
from tasks.data.layout import SOURCE
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import assign, effective_shares, fit_split, judged_rows, required_columns, why_not_comparable
from tests.tasks.data.conftest import Make

COLUMNS = 'x = "number"'
KEYED = SplitSpec(rule="hash", columns=("perennial.split.k",), validation=0.15, test=0.2)
GOLDEN = "0020000112120200000100010000000200010010"


def split_of(tmp_path: Path, make: Make, frame: pd.DataFrame, rest: str = "") -> tuple[SplitSpec, list[int]]:
    frame.to_csv(tmp_path / "a.csv", index=False)
    model_file = make(COLUMNS, rest=rest)
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    spec = fit_split(model_file, snapshot)
    return spec, assign(snapshot.table(required_columns(spec)), spec).tolist()


def frame_of(rows: int, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(rows) * 1.5, "y": np.arange(rows) % 2, **columns})


def test_the_assignment_of_a_key_never_changes() -> None:
    table = pa.table({"perennial.split.k": [str(i) for i in range(40)]})
    assert "".join(str(split) for split in assign(table, KEYED)) == GOLDEN


def test_shares_are_about_as_asked() -> None:
    assigned = assign(pa.table({"perennial.split.k": [str(i) for i in range(100_000)]}), KEYED)
    assert np.allclose(np.bincount(assigned) / 100_000, [0.65, 0.15, 0.2], atol=0.005)


@given(st.floats(0.05, 0.45), st.floats(0.05, 0.45))
def test_a_larger_test_share_keeps_the_test_rows(test: float, more: float) -> None:
    table = pa.table({"perennial.split.k": [str(i) for i in range(300)]})
    small, large = (KEYED.model_copy(update={"test": share}) for share in (test, test + more))
    assert set(np.flatnonzero(assign(table, small) == 2)) <= set(np.flatnonzero(assign(table, large) == 2))


def test_a_key_has_one_split_in_text_and_binary_files(tmp_path: Path, make: Make) -> None:
    frame = frame_of(200, k=range(200))
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.astype({"k": "float64"}).to_parquet(tmp_path / "f.parquet")
    assigned = []
    for name in ("a.csv", "a.parquet", "f.parquet"):
        model_file = make(COLUMNS, sources=f'uri = "{name}"', rest='[split]\nkey = "k"')
        snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
        assigned.append(assign(snapshot.table(), fit_split(model_file, snapshot)).tolist())
    assert assigned[0] == assigned[1] == assigned[2]


def test_without_a_key_all_features_decide_and_equal_rows_share_a_split(tmp_path: Path, make: Make) -> None:
    frame = pd.concat([frame_of(200)] * 2)
    spec, assigned = split_of(tmp_path, make, frame)
    assert spec.columns == ("x",)
    assert assigned[:200] == assigned[200:]


def test_the_order_of_columns_in_the_model_file_moves_no_row(tmp_path: Path, make: Make) -> None:
    frame_of(100, z=range(100)).to_csv(tmp_path / "a.csv", index=False)
    results = []
    for columns in ('x = "number"\nz = "number"', 'z = "number"\nx = "number"'):
        model_file = make(columns)
        snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
        results.append(assign(snapshot.table(), fit_split(model_file, snapshot)).tolist())
    assert results[0] == results[1]


def test_a_key_that_is_also_a_feature_is_hashed_as_it_was_written(tmp_path: Path, make: Make) -> None:
    frame = frame_of(100, k=[f"{i:03}" for i in range(100)])
    frame.to_csv(tmp_path / "a.csv", index=False)
    results = []
    for columns in (COLUMNS, COLUMNS + '\nk = "number"'):
        model_file = make(columns, rest='[split]\nkey = "k"')
        snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
        results.append(assign(snapshot.table(), fit_split(model_file, snapshot)).tolist())
    assert results[0] == results[1]


def test_rows_of_one_group_stay_together(tmp_path: Path, make: Make) -> None:
    frame = frame_of(400, g=[f"g{i % 50}" for i in range(400)])
    _, assigned = split_of(tmp_path, make, frame, '[split]\ngroup = "g"')
    assert pd.Series(assigned).groupby(frame["g"].to_numpy()).nunique().eq(1).all()
    assert set(assigned) == {0, 1, 2}


def test_the_newest_rows_test_and_one_instant_is_never_parted(tmp_path: Path, make: Make) -> None:
    days = pd.Series(pd.date_range("2024-01-01", periods=20)).repeat(5).sample(frac=1, random_state=0)
    spec, assigned = split_of(
        tmp_path, make, frame_of(100, t=days.to_numpy()), '[split]\ntime = "t"\ntest = 0.2\nvalidation = 0.1'
    )
    by_day = pd.DataFrame({"t": days.to_numpy(), "split": assigned}).groupby("t")["split"]
    assert by_day.nunique().eq(1).all()
    assert by_day.first().tolist() == [0] * 14 + [1] * 2 + [2] * 4
    assert spec.test_from == pd.Timestamp("2024-01-17", tz="UTC").timestamp()
    assert spec.validation_from == pd.Timestamp("2024-01-15", tz="UTC").timestamp()


@given(st.lists(st.integers(0, 6), min_size=3, max_size=60).filter(lambda days: len(set(days)) >= 3))
def test_three_instants_are_enough_for_a_split_by_time(days: list[int]) -> None:
    from tasks.data.splits import _cut_off

    stamps = np.sort(np.array(days, dtype=np.float64))
    test_from = _cut_off(stamps, 0.2)
    assert test_from is not None and stamps[0] < test_from <= stamps[-1]


def test_a_given_column_decides(tmp_path: Path, make: Make) -> None:
    words = ["train", "Val", "TEST", "validation", "training", "testing"]
    spec, assigned = split_of(tmp_path, make, frame_of(6, s=words), '[split]\ncolumn = "s"')
    assert (spec.rule, assigned) == ("column", [0, 1, 2, 1, 0, 2])


def test_an_unknown_word_in_the_split_column_is_a_reject(tmp_path: Path, make: Make) -> None:
    frame_of(4, s=["train", "val", "test", "holdout"]).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="1 unknown split"):
        ingest(make(COLUMNS, rest='[split]\ncolumn = "s"'), tmp_path)


def test_sources_that_say_their_split_keep_it_and_the_rest_shares_what_is_left(tmp_path: Path, make: Make) -> None:
    frame_of(2000).to_csv(tmp_path / "a.csv", index=False)
    frame_of(100).to_csv(tmp_path / "b.csv", index=False)
    model_file = make(COLUMNS, sources='uri = "a.csv"|uri = "b.csv"\nsplit = "test"')
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    spec = fit_split(model_file, snapshot)
    assigned = assign(snapshot.table(required_columns(spec)), spec)
    assert (assigned[2000:] == 2).all()
    assert (assigned[:2000] != 2).all()
    assert np.isclose((assigned[:2000] == 1).mean(), 0.15 / 0.8, atol=0.03)


@pytest.mark.parametrize(
    ("declared", "shares"),
    [
        ({}, (0.15, 0.2)),
        ({"a": "test"}, (0.15 / 0.8, 0.0)),
        ({"a": "train"}, (0.15 / 0.35, 0.2 / 0.35)),
        ({"a": "train", "b": "test"}, (1.0, 0.0)),
        ({"a": "train", "b": "test", "c": "validation"}, (0.0, 0.0)),
    ],
)
def test_shares_of_splits_that_no_source_declares_are_scaled_to_one(
    declared: dict[str, str], shares: tuple[float, float]
) -> None:
    spec = SplitSpec.model_validate({**KEYED.model_dump(), "sources": declared})
    assert effective_shares(spec) == pytest.approx(shares)


def test_time_cut_offs_do_not_count_rows_of_declared_sources(tmp_path: Path, make: Make) -> None:
    days = pd.date_range("2024-01-01", periods=10).strftime("%Y-%m-%d")
    frame_of(10, t=days).to_csv(tmp_path / "a.csv", index=False)
    frame_of(10, t=["2030-01-01"] * 10).to_csv(tmp_path / "b.csv", index=False)
    model_file = make(
        COLUMNS, sources='uri = "a.csv"|uri = "b.csv"\nsplit = "test"', rest='[split]\ntime = "t"\nvalidation = 0.2'
    )
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    spec = fit_split(model_file, snapshot)
    assert spec.test_from is None
    assert assign(snapshot.table(required_columns(spec)), spec).tolist() == [0] * 7 + [1] * 3 + [2] * 10


@pytest.mark.parametrize(
    ("frame", "rest", "message"),
    [
        (
            frame_of(4, t=["2024-01-01"] * 4),
            '[split]\ntime = "t"',
            "no row is left for validation and test .*too few instants",
        ),
        (frame_of(4, s=["train", "train", "test", "test"]), '[split]\ncolumn = "s"', "for validation .*'s' must hold"),
        (frame_of(2), "", "for .* give more rows"),
    ],
)
def test_an_empty_split_is_named_with_what_to_do(
    tmp_path: Path, make: Make, frame: pd.DataFrame, rest: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        split_of(tmp_path, make, frame, rest)


def test_sources_that_leave_a_split_empty_are_named(tmp_path: Path, make: Make) -> None:
    frame_of(10).to_csv(tmp_path / "a.csv", index=False)
    frame_of(10).to_csv(tmp_path / "b.csv", index=False)
    model_file = make(COLUMNS, sources='uri = "a.csv"\nsplit = "train"|uri = "b.csv"\nsplit = "test"')
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    with pytest.raises(InputError, match=r"no row is left for validation .*let fewer sources declare a split"):
        fit_split(model_file, snapshot)


def test_a_missing_group_or_time_is_a_reject(tmp_path: Path, make: Make) -> None:
    frame_of(3, g=["a", None, "b"], t=["2024-01-01", "2024-01-02", "soon"]).to_csv(tmp_path / "a.csv", index=False)
    for rest, reason in (('group = "g"', "1 missing group"), ('time = "t"', "1 wrong type")):
        with pytest.raises(InputError, match=reason):
            ingest(make(COLUMNS, rest=f"[split]\n{rest}"), tmp_path)


def test_nothing_can_be_judged_where_the_champions_column_is_gone() -> None:
    table = pa.table({"perennial.split.k": ["1", "2"]})
    other = KEYED.model_copy(update={"columns": ("perennial.split.gone",)})
    with pytest.raises(InputError, match="no longer has column 'gone'"):
        judged_rows(table, KEYED, other, ())
    assert len(judged_rows(table, KEYED, None, ())) == len(table)


def test_judged_rows_accept_sources_that_declare_their_split() -> None:
    keys = [str(i) for i in range(200)]
    table = pa.table({"perennial.split.k": keys, SOURCE: ["a"] * 100 + ["b"] * 100})
    declared = SplitSpec.model_validate({**KEYED.model_dump(), "sources": {"b": "test"}})
    assert judged_rows(table, declared, declared, {"a", "b"}).tolist() == [False] * 100 + [True] * 100


def spec_of(tmp_path: Path, make: Make, columns: str, rest: str = "") -> SplitSpec:
    times = pd.date_range("2024-01-01", periods=200, freq="7h").strftime("%Y-%m-%d %H:%M")
    frame = frame_of(200, t=times, k=range(200), c=["-", *(f"c{i}" for i in range(49))] * 4)
    frame.to_csv(tmp_path / "a.csv", index=False)
    model_file = make(columns, rest=rest)
    return fit_split(model_file, open_snapshot(ingest(model_file, tmp_path).manifest))


CHANGES = [
    (('t = "datetime"', ""), ('t = { kind = "datetime", timezone = "Asia/Tokyo" }', ""), "column 't'"),
    (('k = "number"', ""), ('k = "category"', ""), "column 'k'"),
    (('c = "category"', ""), ('c = "category"', '[data]\nmissing = ["-"]'), "column 'c'"),
    (
        ('t = "datetime"', '[split]\ntime = "t"'),
        ('t = { kind = "datetime", timezone = "Asia/Tokyo" }', '[split]\ntime = "t"'),
        "column 't'",
    ),
]


@pytest.mark.parametrize(("before", "after", "name"), CHANGES)
def test_nothing_can_be_judged_where_a_deciding_column_is_read_otherwise(
    tmp_path: Path, make: Make, before: tuple[str, str], after: tuple[str, str], name: str
) -> None:
    champion, challenger = spec_of(tmp_path, make, *before), spec_of(tmp_path, make, *after)
    reason = why_not_comparable(champion.columns, challenger, champion)
    assert reason is not None and reason.startswith(f"{name}, which decided")
    assert "read otherwise" in reason and "key" in reason
    table = pa.table({column: [] for column in champion.columns})
    with pytest.raises(InputError, match="read otherwise"):
        judged_rows(table, challenger, champion, ())


HARMLESS = [
    (("x = { kind = 'number', max = 1000 }", ""), ("x = { kind = 'number', sensitive = true }", "")),
    (("c = 'category'", ""), ("c = { kind = 'category', max_values = 2 }", "")),
    (("x = 'number'", ""), ("x = 'number'", "[split]\nkey = 'k'")),
    (("t = 'datetime'", "[split]\nkey = 'k'"), ("x = 'number'", "[split]\nkey = 'k'\n[data]\nmissing = ['-']")),
]


@pytest.mark.parametrize(("before", "after"), HARMLESS)
def test_changes_that_move_no_row_stay_comparable(
    tmp_path: Path, make: Make, before: tuple[str, str], after: tuple[str, str]
) -> None:
    champion, challenger = spec_of(tmp_path, make, *before), spec_of(tmp_path, make, *after)
    assert why_not_comparable(champion.columns, challenger, champion) is None
    assert why_not_comparable((), challenger, None) is None


def test_columns_that_are_gone_are_named() -> None:
    gone = tuple(f"perennial.split.g{i}" for i in range(5))
    reason = why_not_comparable(["perennial.split.g0"], KEYED, KEYED.model_copy(update={"columns": gone}))
    assert reason is not None and reason.startswith("the data no longer has columns 'g1', 'g2', 'g3' and 1 more, which")
