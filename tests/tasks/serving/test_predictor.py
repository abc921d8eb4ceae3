"""A version in the caller's own process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from perennial import Predictor

from models.errors import InputError
from tasks.scoring.execution import Execution, ProviderError
from tasks.scoring.rows import RowsError
from tasks.serving.served import Served
from tasks.serving.wanted import Wanted
from tests.conftest import Small
from tests.small import ROOT, table
from tests.tasks.serving.versions import write_classifier, write_version


def test_it_answers_what_the_graph_says(small: Small) -> None:
    frame = table(40, seed=7)[["load", "heat", "shop", "night", "made"]].astype(object)
    rows = [{name: None if cell != cell else cell for name, cell in row.items()} for row in frame.to_dict("records")]
    predictor = Predictor.load(small.downloaded)
    seconds = [np.nan if row["made"] is None else np.datetime64(row["made"], "s").astype(float) for row in rows]
    feed = {
        "load": np.array([row["load"] for row in rows], np.float32),
        "heat": np.array([np.nan if row["heat"] is None else row["heat"] for row in rows], np.float32),
        "shop": np.array([row["shop"] or "" for row in rows], object),
        "night": np.array([{"true": 1, "false": 0, None: np.nan}[row["night"]] for row in rows], np.float32),
        "made": np.array(seconds, np.float64),
    }
    session = onnxruntime.InferenceSession(str(small.downloaded / "model.onnx"))
    label, probabilities = session.run(["label", "probabilities"], feed)
    found = predictor.predict(rows)
    assert [answer["label"] for answer in found] == list(label)
    np.testing.assert_allclose([list(answer["probabilities"].values()) for answer in found], probabilities, atol=1e-6)
    assert all(answer["probability"] == answer["probabilities"][answer["label"]] for answer in found)


def test_an_alias_and_a_folder_are_one_version(small: Small) -> None:
    row = {"load": 4, "heat": 300, "shop": "north", "night": True, "made": "2024-05-01"}
    by_alias, by_folder = Predictor.load("small@champion"), Predictor.load(small.downloaded)
    assert by_alias.version == "1" and by_folder.version is None
    assert by_alias.predict([row]) == by_folder.predict([row])
    assert by_alias.predict([]) == []


def test_what_can_not_be_scored_is_named(tmp_path: Path) -> None:
    write_classifier(tmp_path / "v")
    with pytest.raises(RowsError) as refused:
        Predictor.load(tmp_path / "v").predict([{"load": 1}, {"load": "much"}])
    assert isinstance(refused.value, InputError) and refused.value.problems == ("'load', row 2: wrong type",)


def test_a_changed_graph_is_not_loaded(tmp_path: Path) -> None:
    write_version(tmp_path / "v")
    with (tmp_path / "v" / "model.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="SHA-256"):
        Predictor.load(tmp_path / "v")
    with pytest.raises(InputError, match="no such folder"):
        Predictor.load(tmp_path / "nowhere")


@pytest.mark.parametrize("module", ["tasks.serving.worker", "tasks.serving.predictor", "tasks.serving.server"])
def test_neither_torch_nor_prefect_nor_mlflow_is_loaded_to_answer(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'prefect', 'mlflow', 'sklearn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_it_runs_as_it_was_measured(tmp_path: Path) -> None:
    write_version(tmp_path / "v")
    measured = Execution(optimization="basic", batch_rows=3)
    served = Served.load("m", Wanted("1", str(tmp_path / "v"), None, measured.to_json()))
    assert served.graph.execution == measured and served.graph.batch_rows == 3
    absent = Execution(provider="NoSuchExecutionProvider")
    with pytest.raises(ProviderError):
        Served.load("m", Wanted("1", str(tmp_path / "v"), None, absent.to_json()))
