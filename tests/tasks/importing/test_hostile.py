"""Graphs and model files that are wrong, odd or malicious: each is one plain line, and nothing outside is touched."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import InputError
from models.modelfile import read_model_file
from tasks.importing import converting, reading
from tasks.importing.original import taken_in
from tasks.importing.package import import_graph
from tests.imports import bring, quoted, write_spec

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def info(name: str, kind: int = FLOAT, *sizes: int | str | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(sizes))


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    tensors: dict[str, np.ndarray] | None = None,
    **opsets: int,
) -> onnx.ModelProto:
    """A small graph of ai.onnx 17, or of the opsets that are given (dots as underscores)."""
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (tensors or {}).items()]
    graph = helper.make_graph(nodes, "odd", inputs, outputs, weights)
    stated = {"": 17} | {name.replace("_", "."): version for name, version in opsets.items() if name != "main"}
    stated[""] = opsets.get("main", 17)
    listed = [helper.make_opsetid(domain, version) for domain, version in stated.items()]
    return helper.make_model(graph, opset_imports=listed, ir_version=8, producer_name="by hand")


def linear() -> onnx.ModelProto:
    """Two numbers in, one out."""
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [info("x", FLOAT, None, 2)],
        [info("y", FLOAT, None, 1)],
        {"w": np.array([[2.0], [1.0]], np.float32)},
    )


def rows(count: int = 80) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=count), "b": random.normal(size=count)})
    return frame.assign(y=2 * frame["a"] + frame["b"], kind=random.choice(["p", "q"], count))


COLUMNS = '"a" = "number"\n"b" = "number"'


def problems_of(given: object, spec: Path, trust: bool = False) -> list[str]:
    with pytest.raises(InputError) as caught:
        bring(given, spec, trust)  # type: ignore[arg-type]
    assert all("\n" not in problem and len(problem) < 700 for problem in caught.value.problems)
    return list(caught.value.problems)


def spec_of(folder: Path, graph: str = "missing = 0", target: str = 'column = "y"', columns: str = COLUMNS) -> Path:
    return write_spec(folder, rows(), target, columns, graph)


def test_the_plain_graph_is_taken(tmp_path: Path) -> None:
    found = bring(linear(), spec_of(tmp_path))
    np.testing.assert_allclose(found.predict(rows()).values, rows()["y"], atol=1e-5)


NOT_ONNX: dict[str, tuple[bytes, str]] = {
    "cut short": (linear().SerializeToString()[:-9], "damaged or cut short"),
    "cut to its head": (linear().SerializeToString()[:4], "cut short"),
    "empty": (b"", "an empty file"),
    "a pickle": (pickle.dumps({"a": 1}), "a pickle; a scikit-learn pipeline is read from .pkl or .joblib with --trust"),
    "an archive": (b"PK\x03\x04 and more", "an archive, such as .keras"),
    "text": (b"name: 'net'\nlayer {}", "Caffe's prototxt"),
    "noise": (bytes(range(256)) * 4, "not an ONNX"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
}


@pytest.mark.parametrize("kind", NOT_ONNX)
def test_what_is_no_onnx_file_is_named(tmp_path: Path, kind: str) -> None:
    content, said = NOT_ONNX[kind]
    (problem,) = problems_of(content, spec_of(tmp_path))
    assert said in problem and "given.onnx" in problem


def test_a_file_that_is_not_there_and_a_folder_that_is_no_saved_model(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "none.onnx", spec_of(tmp_path)) == [f"{tmp_path / 'none.onnx'}: no such file"]
    assert "a folder without saved_model.pb" in problems_of(tmp_path, spec_of(tmp_path))[0]


def test_a_pickle_is_not_loaded_without_trust(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "was run",))

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Trap()))
    (problem,) = problems_of(tmp_path / "model.pkl", spec_of(tmp_path))
    assert "--trust" in problem
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "C:\\secret", "link", "a/../../secret", ""])
def test_data_outside_of_the_folder_is_not_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "secret").write_bytes(np.ones(2, np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (problem,) = problems_of(write_external(folder, place), spec_of(tmp_path / "rows"))
    assert "outside of its folder" in problem and repr(place) in problem


def write_external(folder: Path, place: str, **more: int) -> Path:
    """The linear graph whose weights lie elsewhere."""
    given = linear()
    tensor = given.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "given.onnx").write_bytes(given.SerializeToString())
    return folder / "given.onnx"


def test_data_beside_the_graph_is_taken_in(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"xxxx" + np.array([2, 1], np.float32).tobytes())
    path = write_external(tmp_path, "weights.bin", offset=4, length=8)
    found = bring(path, spec_of(tmp_path / "rows"))
    np.testing.assert_allclose(found.predict(rows()).values, rows()["y"], atol=1e-5)
    wrapped = onnx.load(found.imported.folder / "model.onnx", load_external_data=False)
    assert not any(tensor.external_data for tensor in wrapped.graph.initializer)


@pytest.mark.parametrize("more", [{"offset": 4, "length": 8}, {"length": 99}, {"length": -4}, {"offset": -1}])
def test_data_that_is_too_short_or_missing(tmp_path: Path, more: dict[str, int]) -> None:
    (tmp_path / "weights.bin").write_bytes(np.array([2, 1], np.float32).tobytes())
    (problem,) = problems_of(write_external(tmp_path, "weights.bin", **more), spec_of(tmp_path / "rows"))
    assert "weights.bin: holds fewer bytes than the graph asks for" in problem
    (problem,) = problems_of(write_external(tmp_path, "none.bin"), spec_of(tmp_path / "rows"))
    assert "'none.bin' with its data is missing" in problem


def passed(operator: str, domain: str, **opsets: int) -> onnx.ModelProto:
    """Two numbers through one operator."""
    return model(
        [helper.make_node(operator, ["x"], ["y"], domain=domain)],
        [info("x", FLOAT, None, 2)],
        [info("y", FLOAT, None, 2)],
        **opsets,
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


def test_a_graph_may_not_change_while_it_is_imported(tmp_path: Path) -> None:
    path, spec = tmp_path / "given.onnx", spec_of(tmp_path)
    path.write_bytes(linear().SerializeToString())
    settings = read_model_file(spec)
    with taken_in(path, settings, spec, False) as original:
        path.write_bytes(passed("Relu", "").SerializeToString())
        with pytest.raises(InputError, match="was changed while it was imported"):
            import_graph(original, settings, None, None, None, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "extra"), [("network.keras", "keras"), ("pipeline.pkl", "sklearn"), ("saved", "tensorflow")]
)
def test_a_converter_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    monkeypatch.setattr(converting, "find_spec", lambda _: None)
    if name == "saved":
        (tmp_path / name).mkdir()
    (tmp_path / name / "saved_model.pb" if name == "saved" else tmp_path / name).write_bytes(b"x")
    (problem,) = problems_of(tmp_path / name, spec_of(tmp_path), trust=True)
    assert f"is not installed; pip install 'perennial[{extra}]'" in problem


def test_a_trusted_pickle_of_something_else_is_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "dict.pkl").write_bytes(pickle.dumps({"a": 1}))
    (problem,) = problems_of(tmp_path / "dict.pkl", spec_of(tmp_path), trust=True)
    assert "dict.pkl: skl2onnx can't read or convert it" in problem
    (tmp_path / "torn.joblib").write_bytes(pickle.dumps(list(range(100)))[:-30])
    (problem,) = problems_of(tmp_path / "torn.joblib", spec_of(tmp_path), trust=True)
    assert "torn.joblib: scikit-learn can't read or convert it" in problem


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


def test_a_graph_that_no_single_file_can_hold_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.bin").write_bytes(np.array([2, 1], np.float32).tobytes())
    path = write_external(tmp_path, "weights.bin")
    monkeypatch.setattr(reading, "LARGEST", path.stat().st_size + 1)
    (problem,) = problems_of(path, spec_of(tmp_path / "rows"))
    assert "with the files beside it; a graph in one file has at most 2 GB" in problem
    monkeypatch.setattr(reading, "LARGEST", path.stat().st_size - 1)
    (problem,) = problems_of(path, spec_of(tmp_path / "rows"))
    assert "a graph in one file has at most 2 GB" in problem
