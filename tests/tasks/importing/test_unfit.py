"""Graphs that can't be run or answer wrongly, and model files that do not fit them: each is one plain line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.imports import quoted, write_spec
from tests.tasks.importing.by_hand import (
    COLUMNS,
    FLOAT,
    INT64,
    STRING,
    info,
    linear,
    model,
    passed,
    problems_of,
    rows,
    spec_of,
)

UNKNOWN: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "domain": (
        lambda: passed("Secret", "acme.ops", acme_ops=1),
        "operators of the domain 'acme.ops' (Secret) are not part of ONNX Runtime",
    ),
    "extensions": (
        lambda: passed("BertTokenizer", "ai.onnx.contrib", ai_onnx_contrib=1),
        "onnxruntime-extensions, a library of its own",
    ),
    "operator": (
        lambda: passed("Nonsense", "com.microsoft", com_microsoft=1),
        "'Nonsense' (com.microsoft of opset 1): ONNX Runtime has none",
    ),
    "opset": (lambda: passed("Relu", "", main=99), "opset 99 is newer than ONNX Runtime knows"),
    "old": (lambda: passed("Relu", "", main=3), "opset 3 is older than ONNX Runtime promises"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_onnx_runtime_does_not_have_is_explained(tmp_path: Path, what: str) -> None:
    make, said = UNKNOWN[what]
    found = problems_of(make(), spec_of(tmp_path))
    assert any(said in problem for problem in found), found


SPECS: dict[str, tuple[str, list[str]]] = {
    "near matches": (
        "missing = 0\nvalue = 'z'\n[graph.inputs.X]\ncolumns = ['a', 'b']",
        [
            "graph.inputs.'X': the graph has no such input; did you mean 'x'?",
            "graph.value: the graph has no output 'z'; known are y",
        ],
    ),
    "too few columns": (
        "missing = 0\nunused = ['b']",
        ["graph.inputs.'x': takes 2 values a row (float [N, 2]), and there is 1"],
    ),
    "nothing stands for missing": (
        "",
        [
            "graph.inputs.'x'.missing: the graph has no answer where 'a' is missing",
            "graph.inputs.'x'.missing: the graph has no answer where 'b' is missing",
        ],
    ),
}


@pytest.mark.parametrize("what", SPECS)
def test_a_wrong_spec_is_told_in_full(tmp_path: Path, what: str) -> None:
    graph, said = SPECS[what]
    found = problems_of(linear(), spec_of(tmp_path, graph))
    assert len(found) >= len(said)
    for line in said:
        assert any(line in problem for problem in found), found


def test_an_input_of_another_type_or_rank(tmp_path: Path) -> None:
    columns = '"kind" = "category"\n"b" = "number"'
    found = problems_of(linear(), spec_of(tmp_path, "[graph.inputs.x]\ncolumns = ['b']", columns=columns))
    assert any("columns.'kind': no input takes it" in problem for problem in found)
    found = problems_of(linear(), spec_of(tmp_path, "", columns='"a" = "number"\n"kind" = { kind = "category" }'))
    assert any("'kind' is a category; give its values in the order of their codes" in p for p in found), found
    texts = model(
        [helper.make_node("Identity", ["x"], ["y"])], [info("x", STRING, None, 2)], [info("y", STRING, None, 2)]
    )
    found = problems_of(texts, spec_of(tmp_path, "value = 'y'"))
    assert any("takes texts" in problem and "map it as a category" in problem for problem in found)
    deep = model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [info("x", FLOAT, None, 2, 3, 4)],
        [info("y", FLOAT, None, 2, 3, 4)],
    )
    found = problems_of(deep, spec_of(tmp_path))
    assert any("takes 24 values a row" in problem for problem in found)


def test_rows_that_look_at_each_other_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["z"]),
        helper.make_node("MatMul", ["z", "w"], ["y"]),
    ]
    mixed = model(nodes, [info("x", FLOAT, None, 2)], [info("y", FLOAT, None, 1)], {"w": np.ones((2, 1), np.float32)})
    (problem,) = problems_of(mixed, spec_of(tmp_path))
    assert "depends on the rows beside it" in problem
    fixed = model(nodes, [info("x", FLOAT, 1, 2)], [info("y", FLOAT, 1, 1)], {"w": np.ones((2, 1), np.float32)})
    (problem,) = problems_of(fixed, spec_of(tmp_path))
    assert "made for batches of 1, and mixes rows" in problem and "dynamic batch" in problem


def test_a_graph_that_fails_on_a_late_row_is_one_plain_line(tmp_path: Path) -> None:
    """Not on those that it is tried on first."""
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["column"], axis=1),
        helper.make_node("Greater", ["column", "bound"], ["above"]),
        helper.make_node("Cast", ["above"], ["place"], to=INT64),
        helper.make_node("Gather", ["table", "place"], ["y"], axis=0),
    ]
    tensors = {"first": np.array([0]), "bound": np.full((1, 1), 40, np.float32), "table": np.zeros(1, np.float32)}
    given = model(nodes, [info("x", FLOAT, None, 2)], [info("y", FLOAT, None, 1)], tensors)
    frame = rows(1000)
    frame.loc[401, "a"] = 50.0
    (problem,) = problems_of(given, write_spec(tmp_path, frame, 'column = "y"', COLUMNS, "missing = 0"))
    assert "given.onnx: the graph fails on rows of the data: " in problem and "out of data bounds" in problem


def test_random_answers_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Add", ["x", "noise"], ["z"]),
        helper.make_node("MatMul", ["z", "w"], ["y"]),
    ]
    drawn = model(nodes, [info("x", FLOAT, None, 2)], [info("y", FLOAT, None, 1)], {"w": np.ones((2, 1), np.float32)})
    (problem,) = problems_of(drawn, spec_of(tmp_path))
    assert "draws at random (RandomNormalLike)" in problem


def test_logits_that_are_called_probabilities_and_the_other_way_round(tmp_path: Path) -> None:
    scores = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [info("x", FLOAT, None, 2)],
        [info("y", FLOAT, None, 2)],
        {"w": np.eye(2, dtype=np.float32)},
    )
    classes = f"missing = 0\nclasses = {quoted('p', 'q')}\n"
    (problem,) = problems_of(scores, spec_of(tmp_path, classes + "probabilities = 'y'", 'column = "kind"'))
    assert "holds no probabilities" in problem and "say graph.logits = 'y'" in problem
    scores.graph.node.append(helper.make_node("Softmax", ["y"], ["p"], axis=1))
    scores.graph.output[0].name = "p"
    (problem,) = problems_of(scores, spec_of(tmp_path, classes + "logits = 'p'", 'column = "kind"'))
    assert "holds probabilities already; say graph.probabilities = 'p'" in problem


def test_classes_that_do_not_fit(tmp_path: Path) -> None:
    scores = model(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["p"], axis=1)],
        [info("x", FLOAT, None, 2)],
        [info("p", FLOAT, None, 3)],
        {"w": np.ones((2, 3), np.float32)},
    )
    target = 'column = "kind"'
    (problem,) = problems_of(scores, spec_of(tmp_path, "missing = 0", target))
    assert "the graph does not tell its classes; give them in its order (the data has " in problem
    (problem,) = problems_of(scores, spec_of(tmp_path, "missing = 0\nclasses = ['p', 'r', 's']", target))
    assert "the data has the class 'q', which the graph does not know (it has p, r, s)" in problem
    (problem,) = problems_of(scores, spec_of(tmp_path, "missing = 0\nclasses = ['p', 'q', 's']", target))
    assert 'say kind = "multiclass"' in problem
    (problem,) = problems_of(scores, spec_of(tmp_path, "missing = 0\nclasses = ['p', 'q']", target))
    assert "there are 2 (p, q), and 'p' has 3 numbers a row" in problem


def test_a_batch_that_decides_the_answer_is_not_freed(tmp_path: Path) -> None:
    """Alone and among others rows are answered alike, but not as in the batches of 4 that the graph was made for."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "first"], ["count"]),
        helper.make_node("Equal", ["count", "four"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["more"], to=FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "more"], ["y"]),
    ]
    tensors = {"first": np.array(0), "four": np.array(4), "w": np.ones((2, 1), np.float32)}
    given = model(nodes, [info("x", FLOAT, 4, 2)], [info("y", FLOAT, 4, 1)], tensors)
    (problem,) = problems_of(given, spec_of(tmp_path))
    assert "answers 4 rows at once otherwise than more of them (they differ by 1)" in problem
