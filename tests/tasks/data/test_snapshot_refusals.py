"""Rows and sources that no snapshot is made of, or not without a word."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tasks.data.snapshot import ingest
from tests.tasks.data.conftest import Make
from tests.tasks.data.ingested import COLUMNS, rows_of, write


def test_bad_rows_become_rejects_with_reasons(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "a.csv"
    good = "".join(f"{i},u,{i % 2},1,k{i}\n" for i in range(94))
    path.write_text("x,c,y,w,k\n" + good + "z,u,1,1,a\n1,u,,1,b\n1,u,1,-1,d\n1,u,1,,e\n1,u,1,1,\n1,2\n")
    model_file = make(COLUMNS, rest='[data]\nmax_rejects = 0.1\n[split]\nkey = "k"\n[training]\nweight = "w"')
    result = ingest(model_file, tmp_path)
    assert (result.read, result.rows, result.rejected) == (100, 94, 6)
    assert result.rejects is not None
    found = {entry["row"]: (entry["column"], entry["reason"]) for entry in pq.read_table(result.rejects).to_pylist()}
    assert found == {
        95: ("x", "wrong type"),
        96: ("y", "missing target"),
        97: ("w", "negative weight"),
        98: ("w", "missing weight"),
        99: ("k", "missing key"),
        100: ("", "wrong number of fields"),
    }
    assert sum(result.reasons.values()) == 6
    assert (result.files[0].rows, result.files[0].rejected) == (100, 6)


def test_too_many_rejects_stop_the_run_with_counts_and_a_place(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=["1"] * 8 + ["bad", "worse"], c="u", y=[0, 1] * 5)
    with pytest.raises(InputError, match=r"m: 2 of 10 rows are rejects \(20\.0%\).*2 wrong type; see ") as caught:
        ingest(make(COLUMNS), tmp_path)
    kept = pq.read_table(str(caught.value).rpartition("see ")[2])
    assert kept["row"].to_pylist() == [9, 10]
    assert not list((tmp_path / "snapshots/m").glob("*.json"))


def test_no_row_left_is_said(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=["a", "b"], c="u", y=[0, 1])
    with pytest.raises(InputError, match="2 of 2 rows are rejects"):
        ingest(make(COLUMNS, rest="[data]\nmax_rejects = 1.0"), tmp_path)


@pytest.mark.parametrize(
    ("target", "labels", "message"),
    [
        ('column = "y"', ["a"] * 4, r"target 'y': one class only \(a\) in all rows"),
        ('column = "y"\nkind = "regression"', [2] * 4, r"target 'y': one value only \(2.0\)"),
        ('column = "y"\nkind = "binary"', list("abca"), "kind is binary but there are 3 classes"),
        ('column = "y"\npositive = "Yes"', ["yes", "no"] * 2, "no row of target 'y' is 'Yes'; did you mean 'yes'"),
    ],
)
def test_a_target_that_can_not_be_learnt_is_named(
    tmp_path: Path, make: Make, target: str, labels: list[object], message: str
) -> None:
    write(tmp_path / "a.csv", x=range(4), c="u", y=labels)
    with pytest.raises(InputError, match=message):
        ingest(make(COLUMNS, target=target), tmp_path)


@pytest.mark.parametrize("gate", ["top_3_accuracy", "top_3_accuracy_under_typing_errors"])
def test_a_gate_that_few_classes_can_not_pass_is_named(tmp_path: Path, make: Make, gate: str) -> None:
    columns = COLUMNS + '\nt = "text"'
    gates = f"[gates]\n{gate} = {{ min = 0.9 }}"
    write(tmp_path / "a.csv", x=range(7), c="u", t="some words", y=list("abcdefg"))
    assert ingest(make(columns, rest=gates), tmp_path).manifest.exists()
    write(tmp_path / "a.csv", x=range(6), c="u", t="some words", y=list("abcdef"))
    with pytest.raises(InputError, match=rf"gates\.{gate}: says nothing of 6 classes"):
        ingest(make(columns, rest=gates), tmp_path)


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["a", "b", "c"], "multiclass"),
        (["a", "b", "?"], "binary"),
        ([True, False, True], "binary"),
        ([0, 1, 1], "binary"),
        ([0.5, 2.5, 0.5], "binary"),
        ([0, 1, 2], "multiclass"),
        ([0.5, 1.5, 2.5], "regression"),
        (list(range(21)), "regression"),
        (list(range(20)), "multiclass"),
        ([1, 2, "x", None], "multiclass"),
        (["None", "A", "B"], "multiclass"),
        ([*range(100), "n.a.", "-"], "regression"),
        ([*range(30), *"abcdefgh"], "multiclass"),
        ([" a", "a ", "b", "NA"], "binary"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_type_of_the_target_decides_the_task(
    tmp_path: Path, make: Make, labels: list[object], task: str, ending: str
) -> None:
    frame = pd.DataFrame({"x": range(len(labels)), "c": "u", "y": pd.Series(labels, dtype=object)})
    if ending == "csv":
        frame.to_csv(tmp_path / "a.csv", index=False)
    else:
        frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    model_file = make(COLUMNS, sources=f'uri = "a.{ending}"', rest="[data]\nmax_rejects = 0.9")
    assert ingest(model_file, tmp_path).task == task


def test_a_column_missing_in_every_row_is_a_warning(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2, 3], c=None, y=[0, 1, 0])
    assert ingest(make(COLUMNS), tmp_path).warnings == ("column 'c' is missing in every row",)


def test_a_column_missing_in_some_files_is_null_there_and_a_warning(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", x=[1, 2], c="u", y=[0, 1])
    write(tmp_path / "b.csv", x=[3], y=[0])
    result = ingest(make(COLUMNS), tmp_path)
    assert [row["c"] for row in rows_of(result)] == ["u", "u", None]
    assert result.warnings == (f"column 'c' is absent from 1 of 2 files, {tmp_path}/b.csv first; it is missing there",)


def test_every_missing_column_and_source_is_named_at_once(tmp_path: Path, make: Make) -> None:
    write(tmp_path / "a.csv", X=[1], c="u", why=[0])
    with pytest.raises(InputError) as caught:
        ingest(make(COLUMNS), tmp_path)
    assert list(caught.value.problems) == [
        f"{tmp_path}/a.csv: no column 'x'; did you mean 'X'?",
        f"{tmp_path}/a.csv: no column 'y'; known are X, c, why",
    ]
    with pytest.raises(InputError) as caught:
        ingest(make(COLUMNS, sources='uri = "gone.csv"|uri = "a.csv"|uri = "lost/*.csv"|uri = "*.csv"'), tmp_path)
    assert [problem.rpartition("/")[2] for problem in caught.value.problems] == [
        "gone.csv: no such file, folder or pattern of files",
        "*.csv: no such file, folder or pattern of files",
        "*.csv; give it in one of them",
    ]
