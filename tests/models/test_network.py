"""The network gives each member's outputs, alike for equal seeds, and exports to ONNX as it is."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from models.calibration import CalibratedClasses, CalibratedValue
from models.errors import InputError
from models.heads import TargetStatistics
from models.network import RowDropout, build_network
from tests.models.networks import BINARY, SMALL, VALUE, every_kind, inputs_of_every_kind, network_of_every_kind


def test_outputs_are_one_row_per_row_and_member() -> None:
    assert network_of_every_kind()(inputs_of_every_kind(7)).shape == (7, SMALL.members, 2)
    assert network_of_every_kind(VALUE)(inputs_of_every_kind(7)).shape == (7, SMALL.members, 1)


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (network_of_every_kind(seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_members_differ_from_the_start() -> None:
    outputs = network_of_every_kind()(inputs_of_every_kind(5))
    assert not torch.allclose(outputs[:, 0], outputs[:, 1])


def test_rows_do_not_influence_each_other() -> None:
    network, inputs = network_of_every_kind(), inputs_of_every_kind(9)
    alone = network({kind: values[4:5] for kind, values in inputs.items()})
    assert torch.allclose(network(inputs)[4], alone[0], atol=1e-6)


class Positional(nn.Module):
    """The exporter names positional inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, number: Tensor, category: Tensor, boolean: Tensor, datetime: Tensor) -> object:
        inputs = {"number": number, "category": category, "boolean": boolean, "datetime": datetime}
        return self.model(inputs)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    model = Positional(calibrated()).eval()
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    _export(model, path)
    return onnxruntime.InferenceSession(path)


def calibrated() -> CalibratedClasses:
    network = network_of_every_kind()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return CalibratedClasses(network, temperature=1.3, threshold=0.3, prior=BINARY.prior).eval()


def _export(model: nn.Module, path: Path) -> None:
    inputs = inputs_of_every_kind(5)
    row = torch.export.Dim("rows", min=1)
    shapes = tuple({0: row} for _ in inputs)
    program = torch.onnx.export(
        model, tuple(inputs.values()), dynamo=True, dynamic_shapes=shapes, input_names=list(inputs), verbose=False
    )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    program.save(path)


@pytest.mark.parametrize("rows", [1, 2, 300])
def test_onnx_runtime_agrees_with_torch_at_any_batch_size(session: onnxruntime.InferenceSession, rows: int) -> None:
    inputs = inputs_of_every_kind(rows)
    index, probabilities = session.run(None, {kind: values.numpy() for kind, values in inputs.items()})
    with torch.inference_mode():
        expected_index, expected = calibrated()(inputs)
    np.testing.assert_allclose(probabilities, expected.numpy(), atol=1e-5)
    clear = np.abs(probabilities[:, 1] - 0.3) > 1e-5
    np.testing.assert_array_equal(index[clear], expected_index.numpy()[clear])


def test_onnx_runtime_agrees_where_values_are_tiny(tmp_path: Path) -> None:
    """In standard deviations, since any two values of this target are within a tolerance of 1e-5."""
    network = network_of_every_kind(TargetStatistics(mean=0.7e-9, scale=1e-9))
    _export(Positional(CalibratedValue(network)).eval(), tmp_path / "model.onnx")
    inputs = inputs_of_every_kind(50)
    (values,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(
        None, {kind: values.numpy() for kind, values in inputs.items()}
    )
    with torch.inference_mode():
        expected = CalibratedValue(network)(inputs).numpy()
    np.testing.assert_allclose(values / 1e-9, expected / 1e-9, atol=1e-4)
    assert np.std(values / 1e-9) > 0.1


def test_a_network_too_large_for_the_memory_is_a_plain_line() -> None:
    with pytest.raises(InputError, match=r"\[network\]: too large for the memory"):
        build_network(every_kind(), BINARY, SMALL.model_copy(update={"width": 1 << 44}))


def test_dropout_drops_the_stated_share_of_units_for_all_members_of_a_row() -> None:
    torch.manual_seed(0)
    dropped = RowDropout(0.25).train()(torch.ones(400, 3, 50))
    assert torch.equal(dropped[:, 0], dropped[:, 2])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.02)


def test_dropout_is_silent_while_predicting() -> None:
    x = torch.ones(4, 3, 5)
    assert torch.equal(RowDropout(0.5).eval()(x), x)
