"""A clean process: what serving does without can't be imported there, and predictions are those of this one."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS
from models.errors import OutsideError, RefusedError
from tasks.scoring import alone
from tasks.scoring.alone import NOT_SERVED, predict_alone
from tasks.scoring.execution import Execution
from tasks.scoring.predictor import Predictor
from tests.conftest import Small
from tests.small import table


def parsed(predictor: Predictor) -> pa.Table:
    frame = table(300, seed=3)
    return pa.table({
        c.name: KINDS[c.settings.kind].parse(pa.array(frame[c.name], from_pandas=True), c.settings, ()).values
        for c in predictor.contract.columns
    })  # fmt: skip


def test_predictions_are_those_of_this_process(small: Small) -> None:
    predictor = Predictor.load(small.downloaded)
    rows = parsed(predictor)
    here = predictor.predict({name: rows[name].combine_chunks() for name in rows.column_names})
    there = predict_alone(small.downloaded, predictor.contract.graph_sha256, rows)
    assert here.index is not None and there.index is not None and there.values is None
    np.testing.assert_array_equal(there.index, here.index)
    np.testing.assert_array_equal(there.probabilities, here.probabilities)


def test_the_settings_of_the_version_are_taken_along(small: Small) -> None:
    rows = parsed(Predictor.load(small.downloaded))
    there = predict_alone(small.downloaded, None, rows, Execution(batch_rows=16, threads=2))
    assert there.index is not None and len(there.index) == 300
    with pytest.raises(RefusedError, match="ProviderError: NoExecutionProvider: this build of onnxruntime has no such"):
        predict_alone(small.downloaded, None, rows, Execution("NoExecutionProvider"))


def test_another_graph_than_the_registered_one_is_refused(small: Small, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.downloaded, tmp_path / "copy"))
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(RefusedError, match=r"InputError: .*model\.onnx: SHA-256 \w+ is not"):
        predict_alone(folder, None, parsed(Predictor.load(small.downloaded)))


@pytest.mark.parametrize("name", ["torch", "prefect", "mlflow", "sklearn.metrics"])
def test_what_serving_does_without_can_not_be_imported(
    small: Small, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(alone, "PROBE", alone.PROBE.replace("from tasks.scoring", f"import {name}\nfrom tasks.scoring"))
    with pytest.raises(RefusedError, match=f"ImportError: {name.partition('.')[0]} is not there when serving"):
        predict_alone(small.downloaded, None, pa.table({"load": [1.0]}))
    assert name.partition(".")[0] in NOT_SERVED


def test_a_process_that_does_not_answer_is_given_up(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(alone, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(OutsideError, match=r"no answer within 0\.2 s; try again when the machine is less busy"):
        predict_alone(small.downloaded, None, pa.table({"load": [1.0]}))


def test_a_process_that_was_killed_says_nothing_about_the_version(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(code: int) -> None:
        ended = subprocess.CompletedProcess([], code, "", "a last word")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
        predict_alone(small.downloaded, None, pa.table({"load": [1.0]}))

    with pytest.raises(OutsideError, match="was killed by SIGKILL"):
        run(-9)
    with pytest.raises(OutsideError, match="was killed by signal 250"):
        run(-250)
    with pytest.raises(RefusedError, match="a last word"):
        run(1)


def test_it_sees_no_settings_and_no_secrets_of_this_process(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "canary")
    show = "import os; raise SystemExit(' '.join(os.environ) + ' canary' * ('canary' in os.environ.values()))\n"
    monkeypatch.setattr(alone, "PROBE", show)
    with pytest.raises(RefusedError) as caught:
        predict_alone(small.downloaded, None, pa.table({"load": [1.0]}))
    assert "PATH" in str(caught.value)
    assert "canary" not in str(caught.value) and "MLFLOW" not in str(caught.value)
