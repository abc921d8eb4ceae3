"""Actions that don't fit the data's classes stop a training before it starts, and `check` says why."""

from pathlib import Path

import pytest

from models.errors import InputError
from models.modelfile import read_model_file
from tasks.data.examine import examine
from tasks.data.snapshot import ingest

MODEL = """
name = "m"
[[sources]]
uri = "data.csv"
[target]
column = "y"
kind = "KIND"
[columns]
x = "number"
[split]
key = "id"
[[actions]]
name = "refund"
when = '''WHEN'''
to = "out"
columns = ["label", "probability_refund", "id", "mail"]
"""


def written(folder: Path, when: str, kind: str = "binary") -> Path:
    labels = ["refund", "cancel"] if kind == "binary" else ["1.5", "2.5"]
    rows = [f"{n},{n % 7},{labels[n % 2]}" for n in range(400)]
    (folder / "data.csv").write_text("id,x,y\n" + "\n".join(rows) + "\n")
    path = folder / "m.toml"
    path.write_text(MODEL.replace("WHEN", when).replace("KIND", kind))
    return path


def test_a_class_that_does_not_exist_is_a_problem_of_check_and_of_training(tmp_path: Path) -> None:
    path = written(tmp_path, 'label == "refnd"')
    told = "actions.refund.when: no class is 'refnd'; did you mean 'refund'?"
    assert examine(path).problems == (told,)
    with pytest.raises(InputError) as caught:
        ingest(read_model_file(path), tmp_path / "home")
    assert caught.value.problems == (told,)


def test_a_regression_has_no_label(tmp_path: Path) -> None:
    told = "actions.refund.when: there is no output 'label'; known are value"
    assert examine(written(tmp_path, 'label == "refund"', "regression")).problems == (told,)


def test_a_column_that_only_rows_to_be_scored_have_is_a_warning(tmp_path: Path) -> None:
    found = examine(written(tmp_path, 'label == "refund" and probability > .9'))
    assert found.problems == ()
    assert [line for line in found.warnings if "mail" in line] == [
        "actions.refund.columns: neither data nor predictions have a column 'mail', which rows to be scored will need; "
        "known are label, probability, probability_cancel, probability_refund, id, x, y"
    ]
