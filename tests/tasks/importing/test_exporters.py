"""What exporters write that ONNX Runtime takes away when it loads a graph, and other habits of theirs."""

from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from tasks.importing import converting
from tasks.importing.recorded import DiffersError
from tests.imports import bring, quoted, write_spec
from tests.tasks.importing.by_hand import COLUMNS, passed, problems_of, rows, spec_of

CLASSES = f"missing = 0\nclasses = {quoted('p', 'q')}"


class Flattening(torch.nn.Module):
    """A convolution, flattened as in most tutorials, which TorchScript writes with a node `Constant` a number."""

    def __init__(self) -> None:
        super().__init__()
        self.along, self.decide = torch.nn.Conv1d(1, 4, 3, padding=1), torch.nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.along(x.unsqueeze(1))
        return torch.softmax(self.decide(found.view(found.size(0), -1)), dim=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_convolution_that_torchscript_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, written = Flattening().eval(), BytesIO()
    torch.onnx.export(
        network, (torch.zeros(1, 2),), written, dynamo=False, input_names=["x"], output_names=["probabilities"],
        dynamic_axes={"x": {0: "rows"}},
    )  # fmt: skip
    found = bring(written.getvalue(), write_spec(tmp_path, rows(), 'column = "kind"', COLUMNS, CLASSES))
    assert found.imported.facts.operators["Constant"] > 1
    with torch.no_grad():
        wanted = network(torch.tensor(rows()[["a", "b"]].to_numpy(np.float32))).numpy()
    np.testing.assert_allclose(found.probabilities(rows(), ["p", "q"]), wanted, atol=1e-5)


@pytest.mark.slow
def test_a_keras_file_that_scales_and_normalizes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((2,), name="x"),
        keras.layers.Rescaling(0.5, offset=0.1),
        keras.layers.Dense(8, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(2, activation="softmax"),
    ]
    network = keras.Sequential(layers)
    network.save(tmp_path / "network.keras")
    spec = write_spec(tmp_path, rows(), 'column = "kind"', COLUMNS, CLASSES)
    found = bring(tmp_path / "network.keras", spec)
    wanted = network.predict(rows()[["a", "b"]].to_numpy(np.float32), verbose=0)
    np.testing.assert_allclose(found.probabilities(rows(), ["p", "q"]), wanted, atol=1e-5)


def test_errors_of_a_converted_file_name_the_file_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_nonsense(file: Path, target: Path) -> converting.Converted:
        target.write_bytes(passed("Nonsense", "com.microsoft", com_microsoft=1).SerializeToString())
        return converting.Converted(target, "Keras")

    monkeypatch.setattr(converting, "require_converter", lambda *_: True)
    monkeypatch.setattr(converting, "_of_keras", write_nonsense)
    (tmp_path / "network.keras").write_bytes(b"PK")
    (problem,) = problems_of(tmp_path / "network.keras", spec_of(tmp_path))
    assert problem.startswith(f"{tmp_path / 'network.keras'}: operator 'Nonsense'")


@pytest.mark.slow
def test_a_layer_of_code_is_refused_without_advice_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    inputs = keras.Input((2,), name="x")
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "code.keras")
    (problem,) = problems_of(tmp_path / "code.keras", spec_of(tmp_path))
    assert problem.startswith(f"{tmp_path / 'code.keras'}: Keras can't read or convert it: it holds Python code")
    assert "a Lambda layer" in problem and "safe_mode" not in problem


@pytest.mark.slow
def test_a_conversion_that_answers_otherwise_than_keras_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((2,), name="x"), keras.layers.Dense(2, activation="softmax")])
    network.save(tmp_path / "network.keras")
    spec = write_spec(tmp_path, rows(), 'column = "kind"', COLUMNS, CLASSES)
    (note,) = bring(tmp_path / "network.keras", spec).imported.facts.notes
    assert note.startswith("answers rows of random numbers as Keras does, within ")
    real = keras.Model.export

    def export_otherwise(self: object, path: str, **how: object) -> None:
        real(self, path, **how)
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            if list(tensor.dims) == [2, 2]:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
        onnx.save(model, path)

    monkeypatch.setattr(keras.Model, "export", export_otherwise)
    with pytest.raises(DiffersError, match=r"network\.keras: what was made of it answers otherwise than Keras does"):
        bring(tmp_path / "network.keras", spec)
