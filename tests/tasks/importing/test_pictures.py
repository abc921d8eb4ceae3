"""Networks of pictures that were exported without our code, against torch itself."""

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn
from torch.nn import functional

from tests.imports import bring, quoted, write_spec

SIDE = 18
CLASSES = ("blue", "green", "red")


def pictures(rows: int = 60, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """PNG files of one main colour, and their pixels [N, H, W, 3]."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, rows)
    pixels = random.integers(0, 90, (rows, SIDE, SIDE, 3)).astype(np.uint8)
    for row, colour in enumerate(truth):
        pixels[row, ..., 2 - colour] += 120
    files = []
    for each in pixels:
        with io.BytesIO() as file:
            Image.fromarray(each).save(file, "PNG")
            files.append(file.getvalue())
    return pd.DataFrame({"photo": files, "colour": [CLASSES[i] for i in truth]}), pixels


COLUMNS = f'"photo" = {{ kind = "image", size = {SIDE} }}'


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    ).eval()  # fmt: skip


def exported(network: nn.Module, folder: Path, dynamic: bool) -> Path:
    """By plain torch.onnx: its newer exporter with an open batch, or its older one with a fixed one."""
    path, example = folder / "network.onnx", torch.zeros(1 if not dynamic else 2, 3, SIDE, SIDE)
    how = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamic else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), path, dynamo=dynamic, verbose=False, external_data=False, **how)
    return path


def softmax_of(network: nn.Module, scaled: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return torch.softmax(network(torch.from_numpy(scaled.astype(np.float32))), dim=1).numpy()


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def graph_section(model: Path, rest: str = "") -> str:
    shown = onnx.load(model).graph
    how = f"columns = 'photo'\ndivide = 255\nmean = {list(MEAN)}\nstd = {list(STD)}"
    logits = f"logits = {shown.output[0].name!r}\nclasses = {quoted(*CLASSES)}"
    return f"{logits}\n{rest}\n[graph.inputs.{shown.input[0].name!r}]\n{how}"


@pytest.mark.parametrize(
    "dynamic",
    [
        pytest.param(True, marks=pytest.mark.slow, id="torch.export, open batch"),
        pytest.param(False, id="tracing, batch of 1"),
    ],
)
def test_a_convolutional_network_exported_by_plain_torch(tmp_path: Path, dynamic: bool) -> None:
    frame, pixels = pictures()
    network = small_network()
    path = exported(network, tmp_path, dynamic)
    found = bring(path, write_spec(tmp_path, frame, 'column = "colour"', COLUMNS, graph_section(path)))
    scaled = ((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found.probabilities(frame, list(CLASSES)), softmax_of(network, scaled), atol=1e-5)
    assert bool(found.imported.facts.notes) == (not dynamic)


def caffe_graph(weights: dict[str, np.ndarray], batch: int | None = None) -> onnx.ModelProto:
    """Layers as a converter of Caffe writes them: convolution in groups, LRN, pooling that rounds up, softmax."""
    nodes = [
        helper.make_node("Conv", ["data", "w1", "b1"], ["conv1"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("LRN", ["relu1"], ["norm1"], size=5, alpha=1e-4, beta=0.75, bias=1.0),
        helper.make_node("MaxPool", ["norm1"], ["pool1"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        helper.make_node("Conv", ["pool1", "w2", "b2"], ["conv2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=2),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("Reshape", ["relu2", "flat"], ["fc_in"]),
        helper.make_node("Gemm", ["fc_in", "w3", "b3"], ["fc"], transB=1),
        helper.make_node("Softmax", ["fc"], ["prob"], axis=1),
    ]
    flat = np.array([batch or -1, weights["w3"].shape[1]], dtype=np.int64)
    tensors = [numpy_helper.from_array(value, name) for name, value in {**weights, "flat": flat}.items()]
    first: int | str = batch or "N"
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [first, 3, SIDE, SIDE])
    prob = helper.make_tensor_value_info("prob", TensorProto.FLOAT, [first, 3])
    graph = helper.make_graph(nodes, "caffe", [data], [prob], tensors)
    return helper.make_model(
        graph, producer_name="caffe2onnx", opset_imports=[helper.make_opsetid("", 11)], ir_version=6
    )


def caffe_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (6, 4, 3, 3), "b2": (6,), "w3": (3, 6 * 4 * 4), "b3": (3,)}
    scale = {"w1": 0.01, "w2": 0.3, "w3": 0.08}
    return {n: (random.normal(size=s) * scale.get(n, 0.1)).astype(np.float32) for n, s in shapes.items()}


def caffe_answers(weights: dict[str, np.ndarray], pixels: np.ndarray, mean: tuple[float, ...]) -> np.ndarray:
    """What Caffe would compute, by torch: pixels as blue, green and red, without their means."""
    w = {name: torch.from_numpy(value) for name, value in weights.items()}
    x = torch.from_numpy(
        (pixels[..., ::-1].astype(np.float32) - np.array(mean, np.float32)).transpose(0, 3, 1, 2).copy()
    )
    x = functional.relu(functional.conv2d(x, w["w1"], w["b1"], stride=2))
    x = functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)
    x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
    x = functional.relu(functional.conv2d(x, w["w2"], w["b2"], padding=1, groups=2))
    return torch.softmax(functional.linear(x.flatten(1), w["w3"], w["b3"]), dim=1).numpy()


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_layers_of_caffe_on_bgr_pictures_without_their_mean(tmp_path: Path, batch: int | None) -> None:
    frame, pixels = pictures()
    weights, mean = caffe_weights(), (104.0, 117.0, 123.0)
    graph = (
        f"classes = {quoted(*CLASSES)}\n[graph.inputs.data]\ncolumns = 'photo'\nchannels = 'bgr'\nmean = {list(mean)}"
    )
    found = bring(caffe_graph(weights, batch), write_spec(tmp_path, frame, 'column = "colour"', COLUMNS, graph))
    answers = caffe_answers(weights, pixels, mean)
    assert answers.std(axis=0).min() > 0.01
    np.testing.assert_allclose(found.probabilities(frame, list(CLASSES)), answers, atol=1e-5)
    assert found.imported.facts.operators["LRN"] == 1
    assert found.imported.facts.framework == "caffe2onnx"
    assert bool(found.imported.facts.notes) == (batch is not None)
