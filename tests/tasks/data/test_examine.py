"""Every problem of a model file and its data at once, and what is merely odd."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.data.inspect import Examination, examine
from tests.tasks.data.tables import ROWS, proposed, table


def checked(tmp_path: Path, frame: pd.DataFrame, change: tuple[str, str] = ("", "")) -> Examination:
    _, proposal = proposed(tmp_path, frame)
    (tmp_path / "m.toml").write_text(proposal.text.replace(*change), encoding="utf-8")
    return examine(tmp_path / "m.toml")


def test_a_good_model_file_passes_with_its_counts(tmp_path: Path) -> None:
    found = checked(tmp_path, table(extra=np.arange(ROWS) % 5), ('"extra"', '# "extra"'))
    assert found.passed and found.problems == found.warnings == ()
    assert (found.read, found.rows, found.task, found.unused) == (ROWS, ROWS, "binary", ("extra",))
    assert sum(found.splits.values()) == sum(found.classes.values()) == ROWS
    assert json.loads(json.dumps(found.as_json()))["passed"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "m.toml"]


def test_would_be_rejects_are_shown_and_too_many_are_a_problem(tmp_path: Path) -> None:
    frame = table(n=np.arange(ROWS) % 50)
    few = checked(tmp_path, frame, ('"n" = "number"', '"n" = { kind = "number", max = 48 }'))
    assert (few.passed, few.rejected, few.reasons) == (True, 8, {"out of range": 8})
    assert (few.examples[0]["row"], few.examples[0]["column"], len(few.examples)) == (50, "n", 5)
    many = checked(tmp_path, frame, ('"n" = "number"', '"n" = { kind = "number", max = 25 }'))
    assert not many.passed and "rows are rejects" in many.problems[0]
    assert sum(many.splits.values()) == many.rows == ROWS - many.rejected
    none = checked(tmp_path, frame, ('"n" = "number"', '"n" = { kind = "number", min = 100 }'))
    assert none.rows == 0 and len(none.problems) == 1


def test_problems_of_columns_rows_and_splits_come_together(tmp_path: Path) -> None:
    frame = table(s="train", n=np.arange(ROWS) % 50)
    found = checked(tmp_path, frame, ('"n" = "number"', '"m" = "number"\n"n" = { kind = "number", max = 25 }'))
    assert "no column 'm'" in found.problems[0] and "rows are rejects" in found.problems[1]
    split = checked(tmp_path, frame, ("[split]\n", '[split]\ncolumn = "s"\n'))
    assert split.problems[0].startswith("split: no row is left for validation and test")


def test_keys_leaks_and_empty_columns_are_warnings(tmp_path: Path) -> None:
    frame = table(id=range(ROWS), nothing=None)
    frame["copy"] = frame["y"]
    change = ("[columns]\n", '[columns]\n"id" = "number"\n"nothing" = "category"\n"copy" = "category"\n')
    warnings = checked(tmp_path, frame, change).warnings
    assert "column 'id' looks like a key: each row has its own value" in warnings
    assert "column 'nothing' is missing in every row" in warnings
    assert any(warning.startswith("column 'copy' may leak the target: ") for warning in warnings)


def test_problems_of_model_file_and_data_come_together(tmp_path: Path) -> None:
    found = checked(tmp_path, table(), ('"signal" =', 'colour = "number"\n"sygnal" = '))
    assert [problem.rpartition(": ")[2][:18] for problem in found.problems] == [
        "no column 'colour'",
        "no column 'sygnal'",
    ]
    broken = checked(
        tmp_path, table(), ("[gates]", '[gatez]\n[data]\nmissing = 3\n[[sources]]\nuri = "gone.csv"\n[gates]')
    )
    assert sorted(problem.rpartition("/")[2] for problem in broken.problems) == [
        "gone.csv: no such file, folder or pattern of files",
        "m.toml: data.missing: input should be a list (is 3)",
        "m.toml: gatez: unknown key; did you mean 'gates'?",
    ]
    (tmp_path / "m.toml").write_text("name = ")
    assert len(examine(tmp_path / "m.toml").problems) == 1
    assert "no such model file" in examine(tmp_path / "none.toml").problems[0]


def test_missing_data_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    proposed(tmp_path, table())
    (tmp_path / "data.csv").unlink()
    found = examine(tmp_path / "m.toml")
    assert found.problems == (f"{tmp_path}/data.csv: no such file, folder or pattern of files",)


def test_numbers_that_float32_can_not_tell_apart_are_a_warning(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    frame = table(near=1e9 + random.normal(scale=1.4, size=ROWS), far=1e9 * random.normal(size=ROWS))
    assert [line.partition(";")[0] for line in checked(tmp_path, frame).warnings] == [
        "column 'near': its values differ too little beside their size for float32 to tell them apart"
    ]


def test_a_class_of_a_few_rows_is_a_warning(tmp_path: Path) -> None:
    frame = table(kind=np.where(np.arange(ROWS) < 9, "rare", np.array(["a", "b"])[np.arange(ROWS) % 2]))
    proposed(tmp_path, frame, "kind")
    assert any(line.startswith("class 'rare' hardly occurs: 9 rows") for line in examine(tmp_path / "m.toml").warnings)
