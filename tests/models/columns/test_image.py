"""Pictures of any format become pixels of one size or are refused in plain words, and then features."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn

from models.columns.image.augment import vary
from models.columns.image.encoder import MASKED, Encoder
from models.columns.image.feed import ImageSettings
from models.columns.image.shifts import SHIFTS, thumbnail
from models.sections import Network
from tests.models.columns.pictures import KIND, SMALL, contents, picture, refused, stretched

FETCHED = pa.struct([("content", pa.binary()), ("failure", pa.string())])


@pytest.mark.parametrize("binary", [pa.binary(), pa.large_binary(), pa.binary_view(), "dictionary"])
def test_contents_in_any_binary_type_are_read(binary: pa.DataType | str) -> None:
    files = [contents(picture()), None, b"text", b""]
    raw = pa.array(files).dictionary_encode() if binary == "dictionary" else pa.array(files, binary)
    parsed = KIND.parse(raw, SMALL, ())
    assert refused(parsed) == {"not a picture": [2], "empty file": [3]}
    assert parsed.values.type == KIND.arrow_type(SMALL)
    assert parsed.values.is_valid().to_pylist() == [True, False, False, False]
    assert parsed.values[0].as_py() == stretched(picture()).tobytes()


def test_a_file_that_was_not_fetched_is_refused_with_its_failure() -> None:
    rows = [(contents(picture()), None), (None, "no such file"), (None, None), (None, "not allowed"), (b"", None)]
    raw = pa.array([{"content": content, "failure": failure} for content, failure in rows] + [None], FETCHED)
    parsed = KIND.parse(raw, SMALL, ())
    assert refused(parsed) == {"no such file": [1], "not allowed": [3], "empty file": [4]}
    assert parsed.values.null_count == 5
    later = KIND.parse(raw.slice(1), SMALL, ())
    assert refused(later) == {"no such file": [0], "not allowed": [2], "empty file": [3]}


@pytest.mark.parametrize("raw", [
    pa.array(["a.png", None]), pa.array([1.0, None]), pa.array([[b"x"], None]), pa.array([b"abc", None], pa.binary(3)),
    pa.array([{"content": b"x"}, None]),
])  # fmt: skip
def test_other_types_are_wrong(raw: pa.Array) -> None:
    assert KIND.reads(raw.type, SMALL) == pa.types.is_string(raw.type)
    parsed = KIND.parse(raw, SMALL, ())
    assert (parsed.values.null_count, refused(parsed)) == (2, {"wrong type": [0]})


def test_contents_that_are_no_bytes_are_refused() -> None:
    parsed = KIND.parse(pa.array([{"content": 1, "failure": None}, None]), SMALL, ())
    assert (parsed.values.null_count, list(refused(parsed).values())) == (2, [[0]])


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.list_(pa.binary()), pa.binary(3), pa.struct([("content", pa.binary())])]
)
def test_columns_of_other_types_are_not_read(kind: pa.DataType) -> None:
    """Paths are: the contents of their files take their place before they are parsed."""
    assert not KIND.reads(kind, SMALL)
    assert KIND.reads(pa.string(), SMALL)


def test_parsed_pixels_are_passed_on_and_fed_without_a_copy() -> None:
    parsed = KIND.parse(pa.array([contents(picture(seed=seed)) for seed in range(4)]), SMALL, ()).values
    again = KIND.parse(parsed, SMALL, ())
    assert again.values is parsed and KIND.reads(parsed.type, SMALL)
    fed = KIND.to_input(parsed.slice(1, 2), SMALL)
    assert fed.shape == (2, *KIND.shape(SMALL)) and not fed.flags.owndata
    assert np.array_equal(fed[0], stretched(picture(seed=1)))
    assert np.shares_memory(fed, KIND.to_input(parsed, SMALL))


def test_missing_pictures_are_black_even_where_pixels_lie_beneath_the_null() -> None:
    pixels = np.full((3, 8, 8, 3), 7, np.uint8)
    bitmap = pa.array([True, False, True]).buffers()[1]
    values = pa.Array.from_buffers(KIND.arrow_type(SMALL), 3, [bitmap, pa.py_buffer(pixels)])
    assert KIND.to_input(values, SMALL).max((1, 2, 3)).tolist() == [7, 0, 7]
    for empty in (KIND.parse(pa.nulls(2), SMALL, ()).values, pa.array([], KIND.arrow_type(SMALL))):
        fed = KIND.to_input(empty, SMALL)
        assert fed.shape == (len(empty), 8, 8, 3) and not fed.any()


def test_statistics_are_those_of_numpy_however_the_rows_are_cut() -> None:
    files = [contents(picture(seed=seed)) for seed in range(9)] + [None, contents(Image.new("RGB", (4, 4)))]
    values = KIND.parse(pa.array(files), SMALL, ()).values
    whole, cut = (KIND.fit(chunks, SMALL) for chunks in ([values], [values.slice(0, 4), values.slice(4)]))
    shades = KIND.to_input(values, SMALL)[:9].astype(np.float64)
    assert whole == cut
    assert (whole.count, whole.missing, whole.height, whole.width) == (11, 2, 8, 8)
    np.testing.assert_allclose(whole.mean, shades.mean((0, 1, 2)), atol=1e-3)
    np.testing.assert_allclose(whole.scale, shades.std((0, 1, 2)), atol=1e-3)
    brightness, contrast = shades.mean((1, 2, 3)), shades.mean(3).std((1, 2))
    np.testing.assert_allclose((whole.brightness[0], whole.brightness[-1]), (brightness.min(), brightness.max()))
    np.testing.assert_allclose(whole.contrast[10], np.median(contrast), rtol=1e-4)


def test_a_column_without_pictures_has_finite_statistics() -> None:
    found = KIND.fit([pa.nulls(3, KIND.arrow_type(SMALL))], SMALL)
    assert (found.count, found.missing, found.brightness) == (3, 3, ())
    assert min(found.scale) > 0


def test_sizes_may_be_a_side_or_height_and_width() -> None:
    assert KIND.shape(ImageSettings(size=(24, 32))) == (24, 32, 3)
    for wrong in (7, 1025, (8, 4), "big"):
        with pytest.raises(ValueError, match="size"):
            ImageSettings.model_validate({"size": wrong})


def encoder(size: int | tuple[int, int] = 8, **options: Any) -> tuple[Encoder, torch.Tensor]:
    """An encoder whose weights are random throughout, and five pictures of which the last is missing."""
    torch.manual_seed(0)
    chosen = ImageSettings(size=size, **options)
    files = [contents(picture(40, 40, seed)) for seed in range(4)]
    values = KIND.parse(pa.array([*files, None]), chosen, ()).values
    built = Encoder([chosen], [KIND.fit([values], chosen)], Network())
    nn.init.normal_(built.missing)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean, 0, 0.2)
    return built, torch.from_numpy(KIND.to_input(values, chosen).copy())


@pytest.mark.parametrize("size", [8, 11, 28, 35, 64, 224, (8, 200), (300, 20)])
def test_any_size_gives_features_with_gradients(size: int | tuple[int, int]) -> None:
    built, pixels = encoder(size)
    features = built.train()(pixels)
    assert features.shape == (5, built.out_features) and torch.isfinite(features).all()
    features.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in built.parameters())


def test_a_missing_picture_is_its_own_vector_whatever_stands_beside_it() -> None:
    built, pixels = encoder()
    features = built.eval()(pixels)
    assert torch.equal(features[4], built.missing)
    assert torch.allclose(features[:2], built(pixels[:2]), atol=1e-6)
    pixels[4, 0, 0, 2] = 1
    assert not torch.equal(built(pixels)[4], built.missing)


def test_a_small_share_of_training_pictures_is_shown_as_missing() -> None:
    built, pixels = encoder(augment=False)
    with torch.no_grad():
        features = built.train()(pixels[:1].expand(3000, -1, -1, -1))
    shown = (features == built.missing).all(1).float().mean()
    assert shown == pytest.approx(MASKED, rel=0.6)


def test_a_missing_picture_does_not_colour_the_statistics_of_its_batch() -> None:
    built, pixels = encoder(augment=False)
    pixels[4] = 0
    mean = torch.tensor(built.mean.flatten().round().tolist(), dtype=torch.uint8)
    grey = torch.cat([pixels[:4], mean.expand(1, 8, 8, 3)])
    assert torch.allclose(built.train()(pixels)[:4], built(grey)[:4], atol=0.05)


def test_the_exported_graph_gives_the_features_of_torch() -> None:
    built, pixels = encoder((20, 70))
    program = torch.onnx.export(
        built.eval(), (pixels,), dynamo=True, opset_version=20, verbose=False, input_names=["pixels"],
        dynamic_shapes=({0: torch.export.Dim("rows")},),
    )  # fmt: skip
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for rows in (pixels, pixels[:1], pixels.repeat(3, 1, 1, 1)):
        (found,) = session.run(None, {"pixels": rows.numpy()})
        np.testing.assert_allclose(found, built(rows).detach().numpy(), atol=1e-5, rtol=1e-5)


def test_the_graph_takes_pixels_as_they_are() -> None:
    (node,) = KIND.graph_nodes("picture", "target", SMALL, KIND.fit([], SMALL))
    graph = onnx.helper.make_graph(
        [node], "g",
        [onnx.helper.make_tensor_value_info("picture", onnx.TensorProto.UINT8, ["rows", 8, 8, 3])],
        [onnx.helper.make_tensor_value_info("target", onnx.TensorProto.UINT8, ["rows", 8, 8, 3])],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    values = KIND.parse(pa.array([contents(picture()), None]), SMALL, ()).values
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"picture": KIND.to_input(values, SMALL)})
    assert np.array_equal(found, KIND.to_input(values, SMALL))


def bar(rows: int) -> torch.Tensor:
    """Pictures [rows, 3, 32, 32], black but for a bright block on the left."""
    shades = torch.zeros(rows, 3, 32, 32)
    shades[:, :, 12:20, 4:10] = 255
    return shades


def test_variations_differ_by_row_repeat_by_seed_and_stay_shades() -> None:
    torch.manual_seed(3)
    first = vary(bar(50), mirror=False)
    torch.manual_seed(3)
    assert torch.equal(first, vary(bar(50), mirror=False))
    assert first.min() >= 0 and first.max() <= 255
    assert len(torch.unique(first.flatten(1), dim=0)) == 50


@pytest.mark.parametrize(("mirror", "share"), [(False, 0.0), (True, 0.5)])
def test_pictures_are_mirrored_only_where_asked_for(mirror: bool, share: float) -> None:
    torch.manual_seed(0)
    shades = vary(bar(400), mirror).mean(1)
    right = shades[:, :, 16:].sum((1, 2)) > shades[:, :, :16].sum((1, 2))
    assert float(right.float().mean()) == pytest.approx(share, abs=0.08)


def test_variations_leave_the_place_of_things_nearly_as_it_is() -> None:
    torch.manual_seed(0)
    shades = vary(bar(300), mirror=False).mean(1)
    peak = (shades - shades.amin((1, 2), keepdim=True)).square()
    places = torch.arange(32.0)
    across = (peak.sum(1) * places).sum(1) / peak.sum((1, 2))
    assert (across - 6.5).abs().mean() < 5


def shifted(name: str, values: pa.Array, seed: int = 0) -> NDArray[np.uint8]:
    changed = SHIFTS[name](values, SMALL, np.random.default_rng(seed))
    assert changed.type == values.type and changed.null_count == values.null_count
    return KIND.to_input(changed, SMALL)


@pytest.fixture
def parsed() -> pa.Array:
    return KIND.parse(pa.array([contents(picture(seed=1)), None, contents(picture(seed=2))]), SMALL, ()).values


@pytest.mark.parametrize(("name", "expected"), [
    ("darker", lambda x: x * 0.6),
    ("brighter", lambda x: np.minimum(x * 1.4, 255)),
    ("blur", lambda x: np.stack([gaussian_filter(p, (0.6, 0.6, 0), mode="nearest") for p in x])),
])  # fmt: skip
def test_shifts_of_light_and_sharpness(
    name: str, expected: Callable[[NDArray[np.float64]], NDArray[np.float64]], parsed: pa.Array
) -> None:
    before = KIND.to_input(parsed, SMALL).astype(np.float64)
    assert np.abs(shifted(name, parsed) - expected(before)).max() <= 0.51


def test_noise_is_drawn_from_the_generator(parsed: pa.Array) -> None:
    middle = np.full((40, 8, 8, 3), 128, np.uint8)
    values = pa.Array.from_buffers(KIND.arrow_type(SMALL), 40, [None, pa.py_buffer(middle)])
    noise = shifted("noise", values).astype(float) - 128
    assert noise.std() == pytest.approx(10, rel=0.05) and abs(noise.mean()) < 0.5
    assert np.array_equal(shifted("noise", parsed), shifted("noise", parsed))
    assert not np.array_equal(shifted("noise", parsed), shifted("noise", parsed, seed=1))


def test_a_thumbnail_shows_the_row(parsed: pa.Array) -> None:
    expected = stretched(picture(seed=1)), np.zeros((8, 8, 3), np.uint8), stretched(picture(seed=2))
    for row in range(3):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(thumbnail(parsed, SMALL, row)))), expected[row])


def test_a_batch_of_a_single_picture_can_be_trained_on() -> None:
    built, pixels = encoder()
    features = built.train()(pixels[:1])
    assert torch.isfinite(features).all()
