"""What is kept of a foreign graph when it is wrapped, and how its answers become the house's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest
from onnx import helper, numpy_helper

from models.errors import InputError
from tasks.data.snapshot import open_snapshot
from tasks.importing import locales
from tasks.importing.recorded import DiffersError
from tasks.monitoring.vocabulary import vocabularies_of
from tests.imports import bring, quoted, write_spec
from tests.tasks.importing.by_hand import COLUMNS, FLOAT, INT64, STRING, info, linear, model, rows, spec_of


def branching() -> onnx.ModelProto:
    """2 a + b, by a branch that reads weights and values of the graph around it."""
    out = [info("branch", FLOAT, None, 1)]
    then = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["branch"])], "then", [], out)
    other = helper.make_graph([helper.make_node("MatMul", ["x", "v"], ["branch"])], "else", [], out)
    one = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
            helper.make_node("Greater", ["top", "zero"], ["positive"]),
            helper.make_node("If", ["positive"], ["y"], then_branch=then, else_branch=other),
        ],
        "branching",
        [info("x", FLOAT, None, 2)],
        [info("y", FLOAT, None, 1)],
        [
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("w", [[2], [1]]), ("v", [[2], [1]]), ("zero", -1e9))
        ],
    )
    return helper.make_model(one, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def with_function() -> onnx.ModelProto:
    """The linear graph by a function of its own, in a domain of its own."""
    given = linear()
    body = [helper.make_node("MatMul", ["u", "v"], ["z"])]
    own = helper.make_function("acme", "Product", ["u", "v"], ["z"], body, [helper.make_opsetid("", 17)])
    given.functions.append(own)
    given.opset_import.append(helper.make_opsetid("acme", 1))
    given.graph.node[0].CopyFrom(helper.make_node("Product", ["x", "w"], ["y"], domain="acme"))
    return given


def as_long_ago() -> onnx.ModelProto:
    """The linear graph with its weights among the inputs, as before version 4 of the format, and opset 9."""
    given = linear()
    given.graph.input.append(info("w", FLOAT, 2, 1))
    given.opset_import[0].version, given.ir_version = 9, 3
    return given


@pytest.mark.parametrize("make", [branching, with_function, as_long_ago])
def test_inner_graphs_functions_and_old_forms_answer_as_before(
    tmp_path: Path, make: Callable[[], onnx.ModelProto]
) -> None:
    found = bring(make(), spec_of(tmp_path))
    np.testing.assert_allclose(found.predict(rows()).values, rows()["y"], atol=1e-5)


def test_the_wrapped_graph_holds_no_remarks_and_nothing_that_is_not_needed(tmp_path: Path) -> None:
    given = linear()
    given.doc_string = given.graph.doc_string = given.graph.node[0].doc_string = "File /home/ada/secret.py, line 3"
    given.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/ada/secret.py")
    given.graph.node.append(helper.make_node("Exp", ["x"], ["beside"]))
    given.graph.output.append(info("beside", FLOAT, None, 2))
    found = bring(given, spec_of(tmp_path, "missing = 0\nvalue = 'y'"))
    content = (found.imported.folder / "model.onnx").read_bytes()
    assert b"/home/ada" not in content
    assert "Exp" not in {node.op_type for node in onnx.load_from_string(content).graph.node}


@pytest.mark.parametrize("names", [("x", "y"), ("value", "imported/model/x"), ("w", "imported")])
def test_columns_may_be_called_as_values_of_the_graph(tmp_path: Path, names: tuple[str, str]) -> None:
    frame = rows().rename(columns={"y": "truth"}).rename(columns=dict(zip("ab", names, strict=True)))
    columns = "\n".join(f"{name!r} = 'number'" for name in names)
    graph = f"missing = 0\n[graph.inputs.x]\ncolumns = {quoted(*names)}"
    found = bring(linear(), write_spec(tmp_path, frame, 'column = "truth"', columns, graph))
    np.testing.assert_allclose(found.predict(frame).values, frame["truth"], atol=1e-5)
    session = ort.InferenceSession(found.imported.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(names)
    assert [given.name for given in session.get_outputs()] == ["value_" if "value" in names else "value"]


def test_no_rows_get_no_answers(tmp_path: Path) -> None:
    found = bring(linear(), spec_of(tmp_path))
    assert len(found.predict(rows().iloc[:0]).values) == 0


WEIGHTS = np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -1.0]])


def classifier(ends: str, kind: int = FLOAT, width: int = 2) -> onnx.ModelProto:
    """Scores that are sums of `a` and `b`, through one more operator."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"])]
    nodes += [helper.make_node(ends, ["z"], ["p"], **({"axis": 1} if ends == "Softmax" else {}))] if ends else []
    weights = WEIGHTS[:, :width].astype(np.float32)
    name = "p" if ends else "z"
    return model(nodes, [info("x", FLOAT, None, 2)], [info(name, kind, None, width)], {"w": weights})


def scores(width: int) -> np.ndarray:
    return rows()[["a", "b"]].to_numpy() @ WEIGHTS[:, :width]


def soft(values: np.ndarray) -> np.ndarray:
    high = np.exp(values - values.max(axis=1, keepdims=True))
    return high / high.sum(axis=1, keepdims=True)


def sigmoid(values: np.ndarray) -> np.ndarray:
    second = 1 / (1 + np.exp(-values))
    return np.hstack([1 - second, second])


ANSWERS: dict[str, tuple[onnx.ModelProto, str, np.ndarray]] = {
    "softmax": (classifier("Softmax"), "", soft(scores(2))),
    "logits": (classifier(""), "logits = 'z'", soft(scores(2))),
    "log of softmax": (classifier("LogSoftmax"), "", soft(scores(2))),
    "one sigmoid": (classifier("Sigmoid", width=1), "", sigmoid(scores(1))),
    "one logit": (classifier("", width=1), "logits = 'z'", sigmoid(scores(1))),
}


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("positive", ["p", "q"])
def test_answers_of_two_classes(tmp_path: Path, what: str, positive: str) -> None:
    given, said, wanted = ANSWERS[what]
    target = f'column = "kind"\npositive = "{positive}"\ncost = {{ false_alarm = 3, miss = 1 }}'
    found = bring(given, spec_of(tmp_path, f"missing = 0\nclasses = {quoted('p', 'q')}\n{said}", target))
    assert found.contract.classes == (("q", "p") if positive == "p" else ("p", "q"))
    np.testing.assert_allclose(found.probabilities(rows(), ["p", "q"]), wanted, atol=1e-5)
    sure = wanted[:, "pq".index(positive)]
    assert found.contract.threshold == 0.75
    clear = np.abs(sure - 0.75) > 1e-4
    assert (found.predict(rows()).index[clear] == (sure >= 0.75)[clear]).all()


def named(truth: list[Any]) -> pd.DataFrame:
    return rows().assign(kind=[truth[i] for i in np.arange(len(rows())) % len(truth)])


@pytest.mark.parametrize("truth", [[False, True], [0, 1], ["0", "1"]])
def test_classes_are_those_of_the_data(tmp_path: Path, truth: list[Any]) -> None:
    spec = write_spec(
        tmp_path, named(truth), f'column = "kind"\npositive = "{str(truth[1]).lower()}"', COLUMNS, "missing = 0"
    )
    found = bring(classifier("Softmax"), spec)
    assert found.contract.classes == ((False, True) if truth[0] is False else (0, 1))
    np.testing.assert_allclose(found.predict(named(truth)).probabilities, soft(scores(2)), atol=1e-5)


def test_classes_that_the_data_does_not_have_stay_and_are_sorted(tmp_path: Path) -> None:
    spec = write_spec(
        tmp_path,
        named(["v", "w"]),
        'column = "kind"\nkind = "multiclass"',
        COLUMNS,
        f"missing = 0\nclasses = {quoted('w', 'v', 'u')}",
    )
    found = bring(classifier("Softmax", width=3), spec)
    assert found.contract.classes == ("u", "v", "w")
    wanted = soft(scores(3))
    np.testing.assert_allclose(found.probabilities(rows(), ["w", "v", "u"]), wanted, atol=1e-5)
    assert (np.array(["u", "v", "w"])[found.predict(rows()).index] == np.array(["w", "v", "u"])[wanted.argmax(1)]).all()


def test_a_label_of_numbers_stands_for_names(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=1),
    ]
    given = model(
        nodes,
        [info("x", FLOAT, None, 2)],
        [info("label", INT64, None, 1)],
        {"w": WEIGHTS.astype(np.float32)},
    )
    spec = write_spec(
        tmp_path, named(["u", "v", "w"]), 'column = "kind"', COLUMNS, f"missing = 0\nclasses = {quoted('w', 'v', 'u')}"
    )
    found = bring(given, spec)
    assert (
        np.array(["u", "v", "w"])[found.predict(rows()).index] == np.array(["w", "v", "u"])[scores(3).argmax(1)]
    ).all()


def test_columns_that_the_graph_does_not_take_are_kept_for_a_champion_that_does(tmp_path: Path) -> None:
    columns = COLUMNS + '\n"kind" = "category"'
    found = bring(linear(), spec_of(tmp_path, "missing = 0\nunused = ['kind']", columns=columns))
    assert [column.name for column in found.contract.columns] == ["a", "b"]
    (manifest,) = (tmp_path / "state" / "snapshots" / "foreign").glob("*.json")
    assert "kind" in open_snapshot(manifest).manifest.columns


def test_recorded_answers_are_compared_row_by_row(tmp_path: Path) -> None:
    recorded = rows()[["a", "b"]].assign(value=rows()["y"])
    recorded.to_parquet(tmp_path / "recorded.parquet")
    graph = "missing = 0\nrecorded = 'recorded.parquet'"
    found = bring(linear(), spec_of(tmp_path, graph)).imported.recorded
    assert found is not None and found.rows == 80 and found.difference < 1e-6
    recorded.loc[4, "value"] += 0.1
    recorded.to_parquet(tmp_path / "recorded.parquet")
    with pytest.raises(DiffersError, match=r"most in row 5, in 1 of 80 rows"):
        bring(linear(), spec_of(tmp_path, graph))
    assert bring(linear(), spec_of(tmp_path, graph + "\ntolerance = 0.1")).imported.recorded
    recorded.rename(columns={"value": "vlaue"}).to_parquet(tmp_path / "recorded.parquet")
    with pytest.raises(InputError, match=r"no column holds recorded answers; call them value; did you mean 'vlaue'\?"):
        bring(linear(), spec_of(tmp_path, graph))


def normalizer(locale: str) -> onnx.ModelProto:
    """One if the text is "groß" in any case."""
    nodes = [
        helper.make_node(
            "StringNormalizer", ["t"], ["low"], case_change_action="LOWER", **({"locale": locale} if locale else {})
        ),
        helper.make_node(
            "LabelEncoder",
            ["low"],
            ["y"],
            domain="ai.onnx.ml",
            keys_strings=["groß", "ärger"],
            values_floats=[1.0, 2.0],
            default_float=0.0,
        ),
    ]
    return model(nodes, [info("t", STRING, None)], [info("y", FLOAT, None)], ai_onnx_ml=2)


@pytest.mark.parametrize("locale", ["", "en_US", "de_DE.UTF-8", "C.UTF-8"])
def test_locales_that_other_machines_lack_are_rewritten(tmp_path: Path, locale: str) -> None:
    frame = pd.DataFrame({"t": ["GROSS", "Groß", "ÄRGER", "x"] * 20, "v": np.arange(80.0)})
    found = bring(normalizer(locale), write_spec(tmp_path, frame, 'column = "v"', '"t" = "text"', "value = 'y'"))
    assert found.predict(frame[:4]).values.tolist() == [0, 1, 2, 0]
    notes = found.imported.facts.notes
    assert (
        [*notes] == []
        if locale == "C.UTF-8"
        else notes[0].startswith(f"locale {locale or 'en_US'!r} of 1 StringNormalizer")
    )
    assert vocabularies_of(found.imported.folder, found.contract) == {}


def test_a_language_with_a_case_of_its_own_is_not_rewritten(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": ["Groß", "x"] * 40, "v": np.arange(80.0)})
    spec = write_spec(tmp_path, frame, 'column = "v"', '"t" = "text"', "value = 'y'")
    if locales.has_locale("tr_TR.UTF-8"):
        assert bring(normalizer("tr_TR.UTF-8"), spec).imported.facts.notes == ()
    else:
        with pytest.raises(InputError, match=r"asks for the locale 'tr_TR\.UTF-8', which this machine lacks"):
            bring(normalizer("tr_TR.UTF-8"), spec)


def test_series_become_windows_and_answers_as_recorded(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"machine": np.repeat(np.arange(8), 20), "at": np.tile(np.arange(20), 8), "u": random.normal(size=160)}
    )
    frame["v"] = frame.groupby("machine")["u"].rolling(3).mean().to_numpy()
    frame = frame.fillna({"v": 0.0})
    given = model(
        [helper.make_node("ReduceMean", ["w"], ["y"], axes=[1], keepdims=0)],
        [info("w", FLOAT, None, 3)],
        [info("y", FLOAT, None)],
    )
    frame[["machine", "at", "u"]].assign(value=frame["v"]).to_csv(tmp_path / "recorded.csv", index=False)
    spec = tmp_path / "s.toml"
    frame.assign(part=np.where(frame["machine"] < 4, "train", "test")).to_csv(tmp_path / "rows.csv", index=False)
    spec.write_text(
        'name = "s"\n[[sources]]\nuri = "rows.csv"\n[target]\ncolumn = "v"\n[columns]\nu = "series"\n'
        '[series]\ngroup = "machine"\ntime = "at"\nwindow = 3\n[split]\ncolumn = "part"\n'
        "[graph]\nmissing = 0\nrecorded = 'recorded.csv'\n"
    )
    found = bring(given, spec).imported
    assert found.recorded is not None and found.recorded.rows == 8 * 18 and found.recorded.difference < 1e-6


@pytest.mark.parametrize("kind", ["FLOAT16", "DOUBLE"])
def test_numbers_of_other_precision_go_in_and_out(tmp_path: Path, kind: str) -> None:
    """ONNX Runtime widens half precision here and there, so wrapping such a graph moves its answers by a rounding."""
    element = onnx.TensorProto.DataType.Value(kind)
    given = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [info("x", element, None, 2)], [info("y", element, None, 1)]
    )
    given.graph.initializer.append(helper.make_tensor("w", element, [2, 1], [2.0, 1.0]))
    found = bring(given, spec_of(tmp_path)).predict(rows()).values
    np.testing.assert_allclose(found, rows()["y"], atol=5e-3 if kind == "FLOAT16" else 1e-6)
