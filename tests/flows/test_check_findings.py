"""What `check` and a dry run say about several files, sensitive values, gates and few test rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.check import check_files, describe
from flows.dry_run import plan
from models.errors import InputError
from models.modelfile import read_model_file
from tasks.data.snapshot import ingest

ROWS = 400
CANARY = "CANARYVALUE"


def write(folder: Path, frame: pd.DataFrame, rest: str = "", columns: str = 'x = "number"', name: str = "m") -> Path:
    frame.to_csv(folder / "data.csv", index=False)
    path = folder / f"{name}.toml"
    sources = '[[sources]]\nuri = "data.csv"\n'
    path.write_text(f'name = "m"\n{sources}[target]\ncolumn = "y"\n[columns]\n{columns}\n{rest}\n', encoding="utf-8")
    return path


def table(**columns: object) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame({"x": random.normal(size=ROWS), "y": random.choice(["no", "yes"], ROWS), **columns})


def said(path: Path) -> str:
    """All that is shown of one file, for people and for programs."""
    found = check_files([path])[path]
    return "\n".join([json.dumps(found.as_json()), *describe(path, found)])


def test_no_sensitive_value_of_a_leak_is_shown(tmp_path: Path) -> None:
    i = np.arange(ROWS)
    frame = table(c=np.where(i % 10 == 0, CANARY, np.array(["u", "v"])[i % 2]))
    frame["y"] = np.where(i % 5 == 0, "yes", "no")
    shown = said(write(tmp_path, frame, columns='x = "number"\nc = { kind = "category", sensitive = true }'))
    assert "'c' may leak the target" in shown and "where it is one value" in shown
    assert CANARY not in shown


def test_no_sensitive_value_besides_features_is_shown_or_kept(tmp_path: Path) -> None:
    i = np.arange(ROWS)
    keys, wrong = [f"{CANARY}{n // 2 * 2 if n < 4 else n}" for n in i], [f"{CANARY}{n}" for n in i]
    frame = table(k=keys, w=np.where(i == 9, wrong, "1"), g=wrong)
    frame.loc[7, "x"] = None
    frame["x"] = frame["x"].astype(object)
    frame.loc[8, "x"] = "much"
    frame.loc[20, ["y", "k"]] = [None, CANARY]
    rest = '[split]\nkey = "k"\ngroup = "g"\n[training]\nweight = "w"\n[data]\nsensitive = {}'
    path = write(tmp_path, frame, rest.format('["k", "w", "g", "y", "elsewhere"]'))
    assert CANARY not in said(path)
    kept = ingest(read_model_file(path), tmp_path).rejects
    assert kept is not None
    rejects = pd.read_parquet(kept)
    assert set(rejects["reason"]) == {"duplicate key", "wrong type", "missing target"}
    assert rejects["values"].str.contains("sha256:").all()
    assert not rejects["values"].str.contains(CANARY).any()
    assert CANARY in said(write(tmp_path, frame, rest.format("[]")))


def test_a_gate_that_the_found_task_lacks_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, table(), "[gates]\nroc_auc_macro = { min = 0.1 }\naccuracy = { min = 0.1 }")
    problem = "gates.roc_auc_macro: no such gate for a binary target; did you mean 'roc_auc'?"
    assert check_files([path])[path].problems == (problem,)
    with pytest.raises(InputError, match="roc_auc_macro: no such gate for a binary target"):
        ingest(read_model_file(path), tmp_path)


def test_too_few_test_rows_for_a_judgement_are_a_warning(tmp_path: Path) -> None:
    (few,) = check_files([write(tmp_path, table())]).values()
    assert few.passed
    count = few.splits["test"]
    assert any(line.startswith(f"{count} test rows; a judgement needs 100: ") for line in few.warnings)
    (enough,) = check_files([write(tmp_path, table(), f"[promotion]\nmin_rows = {count}")]).values()
    assert enough.warnings == ()


def test_a_shared_name_hides_no_other_problem(tmp_path: Path) -> None:
    one = write(tmp_path, table(), columns='gone = "number"', name="one")
    two = write(tmp_path, table(), columns='absent = "number"', name="two")
    found = check_files([one, two])
    assert ["no column 'gone'" in problem for problem in found[one].problems] == [True]
    taken = f"{two}: the name 'm' is taken by {one}; rename one of the two"
    assert found[two].problems[0] == taken and "no column 'absent'" in found[two].problems[1]
    assert not found[two].passed


def test_a_dry_run_sends_nobody_to_a_folder_that_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path, table(x="much"))
    with pytest.raises(InputError) as caught:
        plan(path)
    assert "rows are rejects" in str(caught.value) and "see" not in str(caught.value)
