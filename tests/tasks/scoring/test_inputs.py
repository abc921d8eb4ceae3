"""Inputs that overlap, change their types, or become the output."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tasks.data import jsonlines
from tasks.data.batches import SourceFile
from tasks.data.sources import Unreadable, resolve_each
from tasks.scoring import inputs as inputs_module
from tasks.scoring.destination import destination
from tasks.scoring.inputs import about_rows, look_at
from tests.small import table
from tests.tasks.scoring.scored_files import Run


def rows(count: int = 6, **more: Any) -> pd.DataFrame:
    return table(count, seed=5).drop(columns="broken").assign(**more)


def write_lines(path: Path, frame: pd.DataFrame, **columns: list[Any]) -> Path:
    """JSON lines of the frame with further columns in Python's own types."""
    records = json.loads(frame.to_json(orient="records"))
    extra = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    path.write_text("".join(json.dumps(a | b) + "\n" for a, b in zip(records, extra, strict=True)))
    return path


def test_a_file_that_two_inputs_reach_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows().to_csv(tmp_path / "in" / "a.csv", index=False)
    (tmp_path / "link.csv").symlink_to(tmp_path / "in" / "a.csv")
    for second in (tmp_path / "in" / "a.csv", tmp_path / "in" / "*.csv", tmp_path / "link.csv", tmp_path / "in"):
        with pytest.raises(InputError) as refused:
            run(tmp_path / "in", second)
        assert f"belongs to two inputs, {tmp_path / 'in'} and {second}" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["in.csv", "in.rejects.csv"])
def test_an_output_that_is_an_input_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    rows().to_csv(tmp_path / name, index=False)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(InputError, match=f"{name}: is an input .* would be replaced"):
        run(tmp_path / name, output="in.csv", overwrite=True)
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("output", ["in/out", "in/deep/out.csv", "in"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_an_output_inside_an_input_folder_is_refused(run: Run, tmp_path: Path, output: str, scheme: str) -> None:
    (tmp_path / "in").mkdir()
    rows().to_csv(tmp_path / "in" / "a.csv", index=False)
    with pytest.raises(InputError, match=f"{output}: lies in the input folder"):
        run(f"{scheme}{tmp_path / 'in'}", output=output)
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["a.csv"]


@pytest.mark.parametrize("pattern", ["**/*.parquet", "out/*/*", "o*/pred*/part-*.parquet"])
def test_an_output_where_a_pattern_looks_is_refused_from_the_first_run_on(
    run: Run, tmp_path: Path, pattern: str
) -> None:
    (tmp_path / "out").mkdir()
    rows().to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "out" / "there").mkdir()
    rows().to_parquet(tmp_path / "out" / "there" / "part-1.parquet")
    (tmp_path / "out" / "predictions-of-old").mkdir()
    rows().to_parquet(tmp_path / "out" / "predictions-of-old" / "part-1.parquet")
    with pytest.raises(InputError, match=r"out: lies where the input .* looks for files; choose another place"):
        run(tmp_path / pattern)


KEYS = [2**60 + 1, 2**60 + 2, 3, 4, 5, 2**60 + 3]


CHANGING: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "numbers": ([1, 2, 3, 4, 5, 1.5],) * 3,
    "late text": ([None] * 5 + ["late"],) * 3,
    "late number": ([None] * 5 + [7], [None] * 5 + [7], [None] * 5 + ["7"]),
    "text first": (["a", "b", "c", "d", "e", 1], [*"abcde", "1"], [*"abcde", "1"]),
    "long keys": (KEYS, KEYS, [str(key) for key in KEYS]),
}
"""What a column holds, and how it is written from a file that is looked through whole and from one that is not."""


@pytest.mark.parametrize("looked_through", [True, False])
@pytest.mark.parametrize("case", CHANGING)
def test_json_columns_may_change_their_type_on_the_way(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, looked_through: bool
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 300)
    monkeypatch.setattr(inputs_module, "SMALL", inputs_module.SMALL if looked_through else 0)
    given, whole, first = CHANGING[case]
    done = run(write_lines(tmp_path / "in.jsonl", rows(), extra=given))
    assert pq.read_table(done.predictions)["extra"].to_pylist() == (whole if looked_through else first)


def test_whole_numbers_of_a_small_json_file_stay_whole(run: Run, tmp_path: Path) -> None:
    done = run(write_lines(tmp_path / "in.jsonl", rows(), extra=[1, 2, 3, 4, 5, None]), output="out.csv")
    assert pd.read_csv(done.predictions, dtype=str)["extra"].tolist()[:5] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("given", [[1, 2, 3, 4, 5, "x"], [True] * 5 + [2], [1, 2, 3, 4, 5, 2**60 + 1]])
def test_a_type_that_cannot_be_reconciled_is_a_plain_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[Any]
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 300)
    monkeypatch.setattr(inputs_module, "SMALL", 0)
    path = write_lines(tmp_path / "in.jsonl", rows(), extra=given)
    with pytest.raises(InputError, match=r"in\.jsonl: column 'extra' holds .* --keep") as refused:
        run(path)
    assert "\n" not in str(refused.value)
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl"}
    assert run(path, keep=["id"]).scored == 6


NESTED = {
    "list": pa.array([[1, 2]] * 6),
    "struct": pa.array([{"a": 1}] * 6),
    "map": pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64())),
    "binary": pa.array([b"\xff"] * 6),
    "struct of binary": pa.array([{"a": b"\xff"}] * 6),
}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", NESTED)
def test_columns_that_the_format_cannot_hold_are_refused_before_the_start(
    run: Run, tmp_path: Path, suffix: str, kind: str
) -> None:
    given = pa.Table.from_pandas(rows()).append_column("extra", NESTED[kind])
    pq.write_table(given, tmp_path / "in.parquet")
    started: list[int] = []
    if suffix == "parquet" or (suffix == "jsonl" and "binary" not in kind):
        assert run(tmp_path / "in.parquet", output=f"out.{suffix}").scored == 6
    else:
        with pytest.raises(InputError, match=rf"column 'extra' holds .* which \.{suffix} can't; .* --keep"):
            run(tmp_path / "in.parquet", output=f"out.{suffix}", on_rows=started.append)
        assert not started and not (tmp_path / f"out.{suffix}").exists()
        assert run(tmp_path / "in.parquet", output=f"out.{suffix}", keep=["id"]).scored == 6


def test_rows_are_known_only_where_every_file_states_them(tmp_path: Path) -> None:
    rows(4).to_parquet(tmp_path / "a.parquet")
    rows(3).to_parquet(tmp_path / "b.parquet")
    rows(3).to_csv(tmp_path / "c.csv", index=False)
    wanted = destination(tmp_path / "out")
    assert look_at([str(tmp_path / "*.parquet")], wanted).rows == 7
    assert look_at([str(tmp_path / "*.parquet"), str(tmp_path / "c.csv")], wanted).rows is None


def test_rows_of_texts_are_estimated_by_the_size_of_the_files(tmp_path: Path) -> None:
    wanted = destination(tmp_path / "out")
    rows(7).to_parquet(tmp_path / "a.parquet")
    rows(3000).to_csv(tmp_path / "b.csv", index=False)
    rows(2000).to_csv(tmp_path / "c.csv", index=False)
    about = about_rows(look_at([str(tmp_path / "*.parquet"), str(tmp_path / "*.csv")], wanted))
    assert about is not None and abs(about - 5007) < 100
    assert about_rows(look_at([str(tmp_path / "a.parquet")], wanted)) == 7
    rows(2000).to_csv(tmp_path / "d.csv.gz", index=False)
    assert about_rows(look_at([str(tmp_path / "d.csv.gz")], wanted)) is None


def test_inputs_are_listed_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []

    def noted(uri: str) -> tuple[SourceFile | Unreadable, ...]:
        listed.append(uri)
        return resolve_each(uri)

    monkeypatch.setattr(inputs_module, "resolve_each", noted)
    inputs = [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    rows(4).to_parquet(inputs[0])
    rows(3).to_parquet(inputs[1])
    done = run(*inputs)
    assert (done.rows, listed) == (7, inputs)
