"""What inputs of foreign graphs are fed with, worked out by hand."""

from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

from models.columns import KINDS, ColumnSettings
from models.columnsettings import settings_by_kind
from models.errors import InputError
from models.graphsection import Graph, GraphInput
from tasks.importing.answers import Answer
from tasks.importing.feeding import plan_feeding
from tasks.importing.ports import inputs_of, outputs_of
from tasks.importing.session import Running
from tasks.importing.wrapping import with_front

FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16
INT64, INT32, BOOL, STRING, UINT8 = (
    TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.STRING, TensorProto.UINT8,
)  # fmt: skip


def echo(kind: int, *sizes: int | None, opset: int = 17) -> onnx.ModelProto:
    """A graph that answers what it is given."""
    ends = [helper.make_tensor_value_info(name, kind, list(sizes)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "echo", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def fed(model: onnx.ModelProto, columns: dict[str, Any], values: dict[str, list[Any]], /, **how: Any) -> np.ndarray:
    """What the graph's input holds for raw values of the columns."""
    settings = settings_by_kind(columns)
    graph = Graph(inputs={"x": GraphInput(**how)}) if how else Graph()
    feeding = plan_feeding(inputs_of(model), settings, graph, {})
    assert feeding.problems == ()
    answer = Answer("value", "y", "y", (), outputs_of(model)[0])
    fronted = with_front(model, feeding.feeds, answer, "echo")
    feed = {
        name: KINDS[each.kind].to_input(KINDS[each.kind].parse(_raw(values[name], each), each, ("",)).values, each)
        for name, each in settings.items()
    }
    found = Running(fronted.model.SerializeToString(), "echo").run(feed)[fronted.source]
    alone = Running(fronted.front.SerializeToString(), "front").run(feed)[fronted.fed["x"]]
    np.testing.assert_array_equal(found, alone)
    return found


def _raw(values: list[Any], settings: ColumnSettings) -> pa.Array:
    if not isinstance(values[0], np.ndarray):
        return pa.array(values)
    return pa.array([value.tobytes() for value in values], KINDS[settings.kind].arrow_type(settings))


NAN = float("nan")
AB = {"a": "number", "b": "number"}


def test_numbers_are_joined_in_the_order_that_is_said() -> None:
    rows = {"a": [1.0, 2.0], "b": [10.0, None]}
    np.testing.assert_array_equal(fed(echo(FLOAT, None, 2), AB, rows), [[1, 10], [2, NAN]])
    np.testing.assert_array_equal(fed(echo(FLOAT, None, 2), AB, rows, columns=["b", "a"]), [[10, 1], [NAN, 2]])
    np.testing.assert_array_equal(fed(echo(FLOAT, None, None), AB, rows, columns=["a", "b"]), [[1, 10], [2, NAN]])
    assert fed(echo(FLOAT, None, 2, 1), AB, rows).shape == (2, 2, 1)
    assert fed(echo(FLOAT, None, 1, None), AB, rows).shape == (2, 1, 2)


def test_one_number_as_a_vector_or_a_column() -> None:
    rows = {"a": [1.5, 2.5]}
    assert fed(echo(FLOAT, None), {"a": "number"}, rows).tolist() == [1.5, 2.5]
    assert fed(echo(FLOAT, None, 1), {"a": "number"}, rows).tolist() == [[1.5], [2.5]]


@pytest.mark.parametrize(
    ("kind", "dtype"), [(DOUBLE, np.float64), (HALF, np.float16), (INT64, np.int64), (INT32, np.int32)]
)
def test_numbers_of_another_type(kind: int, dtype: Any) -> None:
    found = fed(echo(kind, None, 2), AB, {"a": [1.0, None], "b": [-3.0, 4.0]}, columns=["a", "b"], missing=-1)
    assert found.dtype == dtype
    assert found.tolist() == [[1, -3], [-1, 4]]


def test_scaling_is_of_each_column() -> None:
    rows = {"a": [1.0, None], "b": [10.0, 20.0]}
    how = {"columns": ["a", "b"], "divide": 2, "mean": [0.5, 1.0], "std": [1, 4], "missing": 3}
    np.testing.assert_allclose(fed(echo(FLOAT, None, 2), AB, rows, **how), [[0, 1], [1, 2.25]])
    np.testing.assert_allclose(fed(echo(FLOAT, None), {"a": "number"}, {"a": [3.0]}, columns="a", mean=1, std=4), [0.5])


def test_booleans_and_dates() -> None:
    columns = {"on": "boolean", "day": {"kind": "datetime"}}
    rows = {"on": ["yes", "no", None], "day": ["1970-01-02", "2024-02-29T12:00:00", None]}
    how = {"columns": ["on", "day"], "unit": "days"}
    wanted = [[1, 1], [0, 19782.5], [NAN, NAN]]
    np.testing.assert_array_equal(fed(echo(FLOAT, None, 2), columns, rows, **how), wanted)
    flags = fed(echo(BOOL, None, 1), {"on": "boolean"}, {"on": ["yes", "no", None]}, columns="on", missing=0)
    assert flags.dtype == bool and flags.ravel().tolist() == [True, False, False]
    stamps = fed(
        echo(INT64, None), {"day": "datetime"}, {"day": ["2024-02-29T12:00:00.25"]}, columns="day", unit="us", missing=0
    )
    assert stamps.tolist() == [1709208000250000]


def test_texts_stay_texts_and_missing_ones_may_have_a_name() -> None:
    columns, rows = {"t": "text", "c": "category"}, {"t": ["Groß", None], "c": ["b", "ü"]}
    found = fed(echo(STRING, None, 2), columns, rows)
    assert found.tolist() == [["Groß", "b"], ["", "ü"]]
    found = fed(echo(STRING, None, 2), columns, rows, columns=["c", "t"], missing="none")
    assert found.tolist() == [["b", "Groß"], ["ü", "none"]]
    assert fed(echo(STRING, None), {"c": "category"}, {"c": ["b", None]}).tolist() == ["b", ""]


def test_categories_become_codes() -> None:
    columns, rows = {"c": "category", "a": "number"}, {"c": ["m", "l", "x", None], "a": [1.0, 2.0, 3.0, 4.0]}
    how = {"columns": ["a", "c"], "codes": {"c": ("l", "m")}}
    np.testing.assert_array_equal(fed(echo(FLOAT, None, 2), columns, rows, **how), [[1, 1], [2, 0], [3, NAN], [4, NAN]])
    found = fed(echo(INT64, None, 2), columns, rows, **how, missing=9)
    assert found.tolist() == [[1, 1], [2, 0], [3, 9], [4, 9]]


def pixels() -> np.ndarray:
    return np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3) + np.uint8(1)


PHOTO = {"p": {"kind": "image", "size": 8}}


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_pictures_in_every_layout(channels: str) -> None:
    ours = pixels()
    wanted = (ours if channels == "rgb" else ours[..., ::-1]).astype(np.float32)
    how = {"columns": "p", "channels": channels, "divide": 2, "mean": [1, 2, 3], "std": [2]}
    scaled = (wanted / 2 - [1, 2, 3]) / 2
    np.testing.assert_allclose(fed(echo(FLOAT, None, 8, 8, 3), PHOTO, {"p": [ours]}, **how)[0], scaled)
    found = fed(echo(FLOAT, None, 3, 8, 8), PHOTO, {"p": [ours]}, **how)[0]
    np.testing.assert_allclose(found, scaled.transpose(2, 0, 1))
    named = fed(echo(FLOAT, None, None, None, None), PHOTO, {"p": [ours]}, **how, layout="nchw")[0]
    np.testing.assert_allclose(named, found)


def test_pictures_as_bytes_and_in_grey() -> None:
    ours = pixels()
    as_they_are = fed(echo(UINT8, None, 8, 8, 3), PHOTO, {"p": [ours]})
    assert as_they_are.dtype == np.uint8
    np.testing.assert_array_equal(as_they_are[0], ours)
    grey = fed(echo(FLOAT, None, 1, 8, 8), PHOTO, {"p": [ours]}, columns="p", divide=255)[0, 0]
    np.testing.assert_allclose(grey, ours @ np.array([0.299, 0.587, 0.114]) / 255, rtol=1e-5)


def test_series_side_by_side_over_time_or_channels() -> None:
    columns = {name: {"kind": "series", "window": 3} for name in ("u", "v")}
    windows = {"u": [np.array([1, 2, NAN], np.float32)], "v": [np.array([7, 8, 9], np.float32)]}
    how = {"columns": ["u", "v"], "missing": 0, "mean": [1, 7]}
    wanted = np.array([[0, 0], [1, 1], [-1, 2]])
    np.testing.assert_array_equal(fed(echo(FLOAT, None, 3, 2), columns, windows, **how)[0], wanted)
    np.testing.assert_array_equal(fed(echo(FLOAT, None, 2, 3), columns, windows, **how)[0], wanted.T)
    flat = fed(echo(FLOAT, None, 3), {"v": columns["v"]}, {"v": windows["v"]})
    assert flat.tolist() == [[7, 8, 9]]


def test_sound_is_silent_behind_its_end() -> None:
    columns = {"s": {"kind": "audio", "sample_rate": 1000, "seconds": 0.1}}
    samples = np.full(100, -32768, np.int16)
    samples[:3] = [16384, -16384, 8192]
    found = fed(echo(FLOAT, None, 1, 100), columns, {"s": [samples]}, columns="s", divide=32768)
    assert found[0, 0, :5].tolist() == [0.5, -0.5, 0.25, 0, 0]


def two_inputs(kind: int, *sizes: int | None) -> onnx.ModelProto:
    """A graph that answers its second input."""
    model = echo(kind, *sizes)
    model.graph.input.append(helper.make_tensor_value_info("a", FLOAT, [None]))
    model.graph.node[0].input[:] = ["x"]
    return model


@pytest.mark.parametrize(
    ("kind", "sizes", "value", "wanted"),
    [
        (BOOL, (), False, False),
        (FLOAT, (1,), 0.5, [0.5]),
        (FLOAT, (None, 2), 3, [[3, 3], [3, 3]]),
        (STRING, (None,), "de", ["de", "de"]),
    ],
)
def test_constants_are_the_same_for_all_rows(kind: int, sizes: tuple[int | None, ...], value: Any, wanted: Any) -> None:
    found = fed(two_inputs(kind, *sizes), {"a": "number"}, {"a": [1.0, 2.0]}, constant=value)
    assert found.tolist() == wanted


def test_inputs_take_the_columns_of_their_names_though_spelt_otherwise() -> None:
    settings = settings_by_kind({"age in days": "number", "price": "number"})
    ends = [helper.make_tensor_value_info(name, FLOAT, [None, 1]) for name in ("age_in_days", "price", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["age_in_days", "price"], ["y"])], "sum", ends[:2], ends[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feeding = plan_feeding(inputs_of(model), settings, Graph(), {})
    assert feeding.problems == ()
    assert [(feed.port.name, *feed.columns) for feed in feeding.feeds] == [
        ("age_in_days", "age in days"),
        ("price", "price"),
    ]


def test_an_opset_without_a_way_to_replace_values_is_told() -> None:
    with pytest.raises(InputError, match=r"its opset, ai\.onnx 8, has no way to replace values"):
        fed(echo(FLOAT, None, 2, opset=8), AB, {"a": [1.0], "b": [2.0]}, columns=["a", "b"], missing=0)
    assert fed(echo(FLOAT, None, 2, opset=7), AB, {"a": [1.0], "b": [2.0]}).tolist() == [[1, 2]]
