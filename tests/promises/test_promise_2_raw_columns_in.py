"""Promise 2: raw columns in, decisions out; calibration and threshold are in the graph, and torch is not needed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pytest
import torch

from models.calibration import CalibratedClasses
from models.columns import KINDS
from models.contract import read_contract
from tasks.export.graph import GraphColumn, export_graph
from tasks.scoring.alone import predict_alone
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files
from tests.conftest import Small
from tests.packages import export_quickly
from tests.promises.conftest import RATE, SECONDS, SIDE, Mixed
from tests.small import QUICK, ROOT, table, write_model

PROBE = """
import sys
from pathlib import Path
from tasks.scoring.predictor import Predictor
from tasks.scoring.batch import Stamp
from tasks.scoring.score import score_files
done = score_files(Predictor.load(Path(sys.argv[1])), [sys.argv[2]], Path(sys.argv[3]), Stamp("small", "1", "r"))
assert done.scored == 198, done
unwanted = {"torch", "mlflow", "prefect", "sklearn"} & set(sys.modules)
assert not unwanted, unwanted
"""


def test_a_plain_onnx_runtime_takes_the_raw_columns(small: Small) -> None:
    session = ort.InferenceSession(small.downloaded / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = {
        "load": np.array([30, -30], dtype=np.float32),
        "heat": np.array([np.nan, 300], dtype=np.float32),
        "shop": np.array(["north", "never seen"], dtype=object),
        "night": np.array([1, np.nan], dtype=np.float32),
        "made": np.array([1.7e9, np.nan]),
    }
    label, probabilities, _ = session.run(None, inputs)
    assert label.tolist() == ["yes", "no"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_texts_pictures_and_recordings_go_in_raw(mixed: Mixed) -> None:
    """Strings, pixels and samples as they were decoded: nothing is scaled, split or counted outside of the graph."""
    session = ort.InferenceSession(mixed.package / "model.onnx", providers=["CPUExecutionProvider"])
    assert {given.name: (given.type, given.shape) for given in session.get_inputs()} == {
        "message": ("tensor(string)", ["rows"]),
        "photo": ("tensor(uint8)", ["rows", SIDE, SIDE, 3]),
        "sound": ("tensor(int16)", ["rows", round(RATE * SECONDS)]),
        "price": ("tensor(float)", ["rows"]),
    }
    random = np.random.default_rng(0)
    inputs = {
        "message": np.array(["BROKEN, angry!", "", "never seen \U0001f600"], dtype=object),
        "photo": random.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8),
        "sound": random.integers(-32767, 32768, (3, round(RATE * SECONDS)), dtype=np.int16),
        "price": np.array([1.5, np.nan, -2], dtype=np.float32),
    }
    label, probabilities, _ = session.run(None, inputs)
    assert set(label) <= {"good", "bad"}
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("false_alarm", "miss"), [(1, 20), (5, 1)])
def test_the_label_follows_from_the_costs(tmp_path: Path, false_alarm: float, miss: float) -> None:
    """A positive label costs (1 - p) false_alarm, a negative one p miss: positive from p = fa / (fa + miss) on."""
    target = f'column = "broken"\ncost = {{ false_alarm = {false_alarm}, miss = {miss} }}'
    quick, columns = QUICK.replace("epochs = 2", "epochs = 10"), '[columns]\n"load" = "number"\n'
    file = write_model(tmp_path, "costs", target=target, columns=columns, quick=quick)
    predictor = Predictor.load(export_quickly(file, tmp_path).folder)
    table().drop(columns="broken").to_csv(tmp_path / "in.csv", index=False)
    done = score_files(predictor, [str(tmp_path / "in.csv")], tmp_path / "out", Stamp("costs", "1", "r"))
    scored = pd.read_parquet(done.predictions)
    p = scored["probability_yes"].to_numpy()
    expected = np.where(p * miss > (1 - p) * false_alarm, "yes", "no")
    assert scored["label"].tolist() == expected.tolist()
    likelier = np.where(p > 0.5, "yes", "no")
    assert (expected != likelier).any()


def test_the_contract_says_what_was_put_into_the_graph(small: Small) -> None:
    contract = read_contract(small.downloaded)
    assert contract.threshold == 0.5
    assert contract.temperature is not None and contract.temperature > 0


class _Logits(torch.nn.Module):
    """The column and its negative as logits."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([-inputs["number"], inputs["number"]], dim=1)

    def aggregate(self, logits: torch.Tensor) -> torch.Tensor:
        return logits


def test_the_temperature_is_in_the_graph() -> None:
    """p = 1 / (1 + exp(-2x / temperature)) for logits -x and x."""
    values = np.array([-2.0, 0.5, 3.0], dtype=np.float32)
    column = GraphColumn(
        "x", KINDS["number"].settings(), KINDS["number"].fit([pa.array(values)], KINDS["number"].settings())
    )
    example = {"number": torch.zeros(3, 1)}
    for temperature in (0.5, 4.0):
        network = CalibratedClasses(_Logits(), temperature, 0.5)  # type: ignore[arg-type]
        session = ort.InferenceSession(export_graph(network, example, [column], ("no", "yes")))
        _, probabilities, _ = session.run(None, {"x": values})
        np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-2 * values / temperature)), rtol=1e-5)


def test_scoring_loads_no_torch(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROBE, str(small.downloaded), str(rows_csv), str(tmp_path / "out")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_texts_pictures_and_recordings_are_scored_where_only_serving_has_its_needs(mixed: Mixed) -> None:
    columns = Predictor.load(mixed.package).contract.columns
    nothing = {c.name: pa.nulls(3, KINDS[c.settings.kind].arrow_type(c.settings)) for c in columns}
    found = predict_alone(mixed.package, None, pa.table(nothing))
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.sum(axis=1), np.ones(3), atol=1e-6)


def test_the_score_command_loads_no_torch(small: Small) -> None:
    probe = "import sys, flows.score, flows.promote, flows.rollback, flows.history; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
