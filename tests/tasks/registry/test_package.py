"""What is registered, and how MLflow's own ways in use it."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pandas as pd
import pytest
from starlette.testclient import TestClient

from models.errors import InputError
from models.packaged import read_model_settings
from tasks.registry.versions import resolve
from tasks.scoring.pyfunc import _load_pyfunc
from tests.conftest import Small
from tests.small import ROOT, table

ROW = b'{"load": 30, "shop": "north", "night": true, "made": "2024-02-03"}'
BODY = b'{"dataframe_records": [' + ROW + b', {"load": -30}]}'
NO_CODE = {"MLmodel", "model.onnx", "contract.json", "profile.json", "model_file.json", "requirements.txt"}


@pytest.fixture(scope="module")
def loaded(small: Small) -> Any:
    return mlflow.pyfunc.load_model("models:/small@champion")


def new_rows(count: int = 20) -> pd.DataFrame:
    return table(count, seed=9).drop(columns="broken")


def test_the_artefact_holds_a_graph_and_text_and_nothing_that_runs(small: Small) -> None:
    assert {path.name for path in small.downloaded.rglob("*") if path.is_file()} - {"registered_model_meta"} <= NO_CODE
    assert "loader_module: tasks.scoring.pyfunc" in (small.downloaded / "MLmodel").read_text()


def test_pyfunc_predicts_labels_and_probabilities(loaded: Any) -> None:
    frame = new_rows()
    found = loaded.predict(frame)
    assert list(found.columns) == ["label", "probability", "probability_no", "probability_yes"]
    assert set(found["label"]) <= {"no", "yes"}
    np.testing.assert_allclose(found["probability_no"] + found["probability_yes"], 1, atol=1e-6)
    own = np.where(found["label"] == "yes", found["probability_yes"], found["probability_no"])
    np.testing.assert_array_equal(found["probability"], own)


def same(loaded: Any, frame: pd.DataFrame, **changed: Any) -> None:
    """Fails unless the frame with other spellings of the same values is predicted alike."""
    expected = loaded.predict(frame)
    pd.testing.assert_frame_equal(loaded.predict(frame.assign(**changed)), expected)


def test_numbers_may_be_integers_or_text(loaded: Any) -> None:
    frame = new_rows().assign(load=list(range(20)), heat=300.0)
    same(loaded, frame.astype({"load": float}), load=frame["load"].astype("int64"), heat=frame["heat"].astype("int32"))
    same(loaded, frame.astype({"load": float}), load=frame["load"].astype(str))
    same(loaded, frame.astype({"load": float}), load=pd.array(range(20), dtype="Int64"))


def test_dates_may_be_text_or_timestamps(loaded: Any) -> None:
    frame = new_rows()
    same(loaded, frame, made=pd.to_datetime(frame["made"]))
    same(loaded, frame, made=pd.to_datetime(frame["made"]).dt.tz_localize("UTC"))


def test_booleans_may_be_text_objects_or_nullable(loaded: Any) -> None:
    frame = new_rows()
    as_objects = frame["night"].map({"true": True, "false": False}).astype(object)
    same(loaded, frame, night=as_objects.where(frame["night"].notna(), None))
    same(loaded, frame, night=as_objects.where(frame["night"].notna(), None).astype("boolean"))


def test_categories_may_be_pandas_categories_or_numbers(loaded: Any) -> None:
    frame = new_rows()
    same(loaded, frame, shop=frame["shop"].astype("category"))
    same(loaded, frame.assign(shop="7"), shop=7)


def test_absent_and_additional_columns(loaded: Any) -> None:
    frame = new_rows()
    expected = loaded.predict(frame.assign(heat=None, night=None))
    pd.testing.assert_frame_equal(loaded.predict(frame.drop(columns=["heat", "night"])), expected)
    same(loaded, frame, colour="red")


def test_the_index_of_the_frame_is_kept(loaded: Any) -> None:
    frame = new_rows(3).set_index(pd.Index(["x", "y", "z"]))
    assert loaded.predict(frame).index.tolist() == ["x", "y", "z"]


def test_a_value_that_cannot_be_scored_is_named_by_column_and_row(loaded: Any) -> None:
    frame = new_rows().astype({"load": object})
    frame.loc[4, "load"] = "much"
    frame.loc[9, "made"] = "yesterday"
    with pytest.raises(InputError) as error:
        loaded.predict(frame)
    assert str(error.value).splitlines() == ["'load', row 5: wrong type", "'made', row 10: wrong type"]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame([{}]), pd.DataFrame([{}] * 3), pd.DataFrame({"Load": [1], "haet": [2]}), pd.DataFrame()]
)
def test_a_table_without_any_column_of_the_model_is_refused(loaded: Any, frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no column of 'small' is there; it takes 'load', 'heat', 'shop'"):
        loaded.predict(frame)


def test_columns_that_are_misspelt_are_told_what_they_may_have_meant(small: Small) -> None:
    with pytest.raises(InputError) as refused:
        _load_pyfunc(str(small.downloaded)).predict(pd.DataFrame({"Load": [1], "haet": [2]}))
    hints = str(refused.value).splitlines()[1:]
    assert [hint.split("; ")[1] for hint in hints] == ["did you mean 'load'?", "did you mean 'heat'?"]


def test_as_many_rows_come_out_as_go_in(loaded: Any) -> None:
    for rows in (0, 1, 5):
        assert len(loaded.predict(pd.DataFrame({"load": np.arange(rows, dtype=float)}))) == rows


def test_one_row_of_plain_values(loaded: Any) -> None:
    found = loaded.predict(
        pd.DataFrame([{"load": 30, "heat": None, "shop": "north", "night": True, "made": "2024-02-03"}])
    )
    assert found["label"].tolist() == ["yes"]


def test_the_onnx_flavour_gives_the_checked_graph(small: Small) -> None:
    model = mlflow.onnx.load_model("models:/small@champion")
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["load", "heat", "shop", "night", "made"]


def test_the_signature_names_every_column_as_optional(loaded: Any) -> None:
    signature = loaded.metadata.signature
    assert signature.inputs.input_names() == ["load", "heat", "shop", "night", "made"]
    assert signature.inputs.required_input_names() == []
    assert signature.outputs.input_names() == ["label", "probability", "probability_no", "probability_yes"]


def test_the_model_file_that_a_version_was_made_from_is_in_it(small: Small) -> None:
    settings = read_model_settings(small.downloaded)
    assert settings.name == "small"
    assert settings.training.epochs == 2
    assert settings.digest() == resolve("small").tags["model_file.digest"]


def test_a_missing_or_damaged_model_file_is_a_plain_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model_file\.json: missing"):
        read_model_settings(tmp_path)
    (tmp_path / "model_file.json").write_text('{"name": 1}')
    with pytest.raises(InputError, match=r"model_file\.json: damaged model file"):
        read_model_settings(tmp_path)


def test_mlflow_answers_requests_by_the_version(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what `mlflow models serve` runs in a process of its own."""
    from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
    from mlflow.pyfunc.scoring_server import init

    # It sets this itself; so it is taken away again.
    monkeypatch.setenv(_MLFLOW_IS_IN_SERVING_ENVIRONMENT.name, "true")
    with TestClient(init(loaded)) as client:
        answer = client.post("/invocations", content=BODY, headers={"Content-Type": "application/json"})
    assert re.findall(r'"label": "(\w+)"', answer.text) == ["yes", "no"]


@pytest.mark.soak
def test_mlflow_serves_the_version(small: Small, tmp_path: Path) -> None:
    log = (tmp_path / "log").open("w")
    words = ["models", "serve", "-m", "models:/small@champion", "--env-manager", "local", "--port", "0"]
    port = _free_port()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words[-1] = str(port)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        answer = _ask(f"http://127.0.0.1:{port}/invocations", BODY)
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
    assert re.findall(r'"label": "(\w+)"', answer) == ["yes", "no"]


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _ask(url: str, body: bytes) -> str:
    """The answer, once the server is up."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.5)
    raise TimeoutError(url)
