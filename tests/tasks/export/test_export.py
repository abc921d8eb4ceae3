"""One graph from raw columns to decisions, for every kind, task and type of class."""

import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pytest
import torch

from models.columns import KINDS
from models.contract import read_contract
from models.errors import InputError, OutsideError
from models.modelfile import read_model_file
from tasks.data.rows import rows_of
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import TEST, fit_split
from tasks.export import contracting, export, steps
from tasks.export.export import export_model
from tasks.export.exported import Digests, Exported
from tasks.export.parity import ParityError, check_parity
from tasks.scoring.predictor import Predictions, Predictor
from tasks.training.fit import fit_model, load_weights
from tasks.training.tensors import Layout
from tests.small import COLUMNS, table, write_model

ODD = [
    'a "quoted" name',
    "[brackets]",
    "with space/slash",
    "größe µm",
    "label",
    "probabilities",
    "class_index",
    "value",
    "it's",
]
INNER = ["classes", "inner", "inner_/classes", "encoded/load", "column/load", "joined/number", "joined/axis"]
INNER += ["network/index", "network/probabilities", "inner/network/index", "index", "rows"]
FEWER = '[columns]\n"load" = "number"\n"shop" = "category"\n'
DIGESTS = Digests("data", "file", "code")


def exported(folder: Path, frame: pd.DataFrame, **more: str) -> Exported:
    """The graph after two epochs; parity on all test rows was shown on the way."""
    model_file = read_model_file(write_model(folder, "export", frame, **more))
    snapshot = open_snapshot(ingest(model_file, folder).manifest)
    split = fit_split(model_file, snapshot)
    fit_model(model_file, snapshot, split, folder / "job" / "c.pt", folder / "job" / "t.pt")
    test = rows_of(snapshot, split, TEST, list(model_file.columns))
    found = export_model(folder / "job" / "t.pt", model_file, snapshot.task, split, DIGESTS, [test], folder / "package")
    assert found.parity.rows == len(test)
    return found


def raw_inputs(session: ort.InferenceSession, rows: int) -> dict[str, np.ndarray]:
    """Something of the right type for every input of a graph."""
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
    return {
        i.name: np.array(["never seen"] * rows, dtype=object) if "string" in i.type else np.zeros(rows, types[i.type])
        for i in session.get_inputs()
    }


TARGETS = {
    "whole numbers": lambda load: np.where(load > 3, 1, 0),
    "booleans": lambda load: load > 3,
    "several texts": lambda load: np.select([load > 5, load < -5], ["high", "low"], "middle"),
    "several numbers": lambda load: np.select([load > 5, load < -5], [10, -2], 3),
    "values": lambda load: load * 3.7 + 100,
}
OF_ALL_KINDS = ("booleans", "several texts", "values")
"""Targets of models with a column of each kind; the others go without, since each column takes time to export."""
TYPES = {"whole numbers": int, "booleans": bool, "several texts": str, "several numbers": int}


@pytest.fixture(scope="module")
def folder_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the folder of a model of a target, exported once."""

    @cache
    def made(target: str) -> Path:
        folder, frame = tmp_path_factory.mktemp("target"), table(400)
        frame["broken"] = TARGETS[target](frame["load"])
        exported(folder, frame, columns=COLUMNS if target in OF_ALL_KINDS else FEWER)
        return folder

    return made


@pytest.mark.parametrize("target", TARGETS)
def test_every_task_and_type_of_class(folder_for: Callable[[str], Path], target: str) -> None:
    package = folder_for(target) / "package"
    contract = read_contract(package)
    model = onnx.load(package / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {o.domain for o in model.opset_import} <= {"", "ai.onnx.ml"}
    of_all = {"load", "heat", "shop", "night", "made"}
    assert {i.name for i in model.graph.input} == (of_all if target in OF_ALL_KINDS else {"load", "shop"})
    session = ort.InferenceSession(package / "model.onnx", providers=["CPUExecutionProvider"])
    if target == "values":
        assert contract.classes == () and [o.name for o in session.get_outputs()] == ["value"]
        return
    assert {type(name) for name in contract.classes} == {TYPES[target]}
    assert [o.name for o in session.get_outputs()] == ["label", "probabilities", "class_index"]
    label, probabilities, index = session.run(None, raw_inputs(session, 3))
    assert label.tolist() == [contract.classes[i] for i in index]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("names", [ODD, INNER], ids=["odd", "inner"])
def test_odd_column_names_and_names_of_outputs(tmp_path: Path, names: list[str]) -> None:
    frame = table(300)
    for position, name in enumerate(names):
        frame[name] = (
            np.random.default_rng(position).choice(["a", "b"], 300) if position % 2 else frame["load"] + position
        )
    columns = "[columns]\n" + "".join(
        f'{json.dumps(name, ensure_ascii=False)} = "{"category" if position % 2 else "number"}"\n'
        for position, name in enumerate(names)
    )
    found = exported(tmp_path, frame, columns=columns)
    session = ort.InferenceSession(found.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == names
    outputs = [o.name for o in session.get_outputs()]
    assert not set(outputs) & set(names)
    assert outputs[0] == ("label_" if "label" in names else "label")
    assert len(Predictor.load(found.folder).run(raw_inputs(session, 4)).index) == 4


@pytest.fixture(scope="module")
def ready(folder_for: Callable[[str], Path]) -> Path:
    """The folder of a model of two classes."""
    return folder_for("booleans")


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 1000])
def test_any_batch_size(ready: Path, rows: int) -> None:
    predictor = Predictor.load(ready / "package")
    found = predictor.run(raw_inputs(predictor.session, rows))
    assert found.probabilities.shape == (rows, 2)
    assert found.index.shape == (rows,)


def test_unseen_and_missing_categories_have_codes_of_their_own(ready: Path) -> None:
    predictor = Predictor.load(ready / "package")
    trained = load_weights(ready / "job" / "t.pt", read_model_file(ready / "export.toml"))
    feed = raw_inputs(predictor.session, 4)
    settings = predictor.contract.columns[2].settings
    given = KINDS["category"].parse(pa.array(["north", "south", "never seen", None]), settings, ())
    feed["shop"] = KINDS["category"].to_input(given.values, settings)
    ours = predictor.run(feed).probabilities
    codes = {"missing": 0, "unseen": 1} | {v: i + 2 for i, v in enumerate(trained.statistics["shop"].vocabulary)}
    encoded = {
        "number": torch.zeros(4, 2),
        "category": torch.tensor([[codes[k]] for k in ("north", "south", "unseen", "missing")]),
        "boolean": torch.from_numpy(feed["night"][:, None]),
        "datetime": torch.from_numpy(feed["made"][:, None]),
    }
    with torch.inference_mode():
        _, theirs = trained.calibrated()(encoded)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    assert len({tuple(row) for row in ours.round(6)}) == 4


def rows_and_network(folder: Path) -> tuple[pa.Table, Layout, torch.nn.Module]:
    """All test rows of an exported model, and what encodes and decides them in torch."""
    model_file = read_model_file(folder / "export.toml")
    snapshot = open_snapshot(ingest(model_file, folder).manifest)
    test = rows_of(snapshot, fit_split(model_file, snapshot), TEST, list(model_file.columns))
    trained = load_weights(folder / "job" / "t.pt", model_file)
    return test, Layout(model_file.columns, trained.statistics, model_file.target.column), trained.calibrated()


def test_an_altered_graph_does_not_pass_parity(ready: Path) -> None:
    test, layout, network = rows_and_network(ready)
    contract = read_contract(ready / "package")
    graph = (ready / "package" / "model.onnx").read_bytes()
    assert check_parity(network, layout, Predictor(graph, contract), [test]).difference < 1e-5
    model = onnx.load_from_string(graph)
    weight = max(
        (t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT), key=lambda t: np.prod(t.dims)
    )
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    with pytest.raises(ParityError, match=r"torch and ONNX Runtime differ by .* the export was stopped"):
        check_parity(network, layout, Predictor(model.SerializeToString(), contract), [test])
    graph_with_other_labels = _swapped_labels(graph)
    with pytest.raises(ParityError, match="other labels"):
        check_parity(network, layout, Predictor(graph_with_other_labels, contract), [test])


def _swapped_labels(graph: bytes) -> bytes:
    """The graph whose class index is the other one, probabilities untouched."""
    model = onnx.load_from_string(graph)
    one = onnx.numpy_helper.from_array(np.array(1, dtype=np.int64), "one")
    model.graph.initializer.append(one)
    last = next(node for node in model.graph.node if node.output[0] == "class_index")
    source = last.input[0]
    last.CopyFrom(onnx.helper.make_node("Sub", ["one", source], ["class_index"]))
    return model.SerializeToString()


class WrongOnce(Predictor):
    """A predictor whose answer is off, or no number, in one row of all that it was ever asked for."""

    def __init__(self, folder: Path, row: int, off: float) -> None:
        super().__init__((folder / "model.onnx").read_bytes(), read_contract(folder))
        self.row, self.off = row, off

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        found = super().predict(columns)
        for values in (found.probabilities, found.values):
            if values is not None and 0 <= self.row < len(values):
                values[self.row] += self.off
        self.row -= len(next(iter(columns.values())))
        return found


@pytest.mark.parametrize("off", [1e-3, np.nan])
def test_a_graph_that_is_wrong_in_one_row_of_thousands_does_not_pass(ready: Path, off: float) -> None:
    """Neither the network nor the graph may be run on a part of the rows, in whatever pieces they come."""
    test, layout, network = rows_and_network(ready)
    many = pa.concat_tables([test.slice(0, 40)] * 250).combine_chunks()
    pieces = [many.slice(0, 7000), many.slice(7000)]
    assert check_parity(network, layout, WrongOnce(ready / "package", len(many), off), pieces).rows == 10_000
    for row in (0, 5000, 6999, 7000, len(many) - 1):
        with pytest.raises(ParityError, match="on 10000 rows"):
            check_parity(network, layout, WrongOnce(ready / "package", row, off), pieces)


@pytest.mark.parametrize("target", ["several texts", "values"])
def test_parity_in_pieces_is_parity_of_all_rows_at_once(folder_for: Callable[[str], Path], target: str) -> None:
    folder = folder_for(target)
    test, layout, network = rows_and_network(folder)
    test = test.sort_by("load")
    for off in (0.0, 2e-6):
        whole = check_parity(network, layout, WrongOnce(folder / "package", 31, off), [test])
        pieces = (test.slice(at, 10) for at in range(0, len(test), 10))
        assert check_parity(network, layout, WrongOnce(folder / "package", 31, off), pieces) == whole


def test_no_row_to_compare_on_is_an_input_error(ready: Path) -> None:
    with pytest.raises(InputError, match="no test rows to compare the graph on"):
        export_model(Path(), None, "binary", None, DIGESTS, [], Path())  # type: ignore[arg-type]


def test_one_piece_of_the_test_rows_is_in_memory_at_a_time(ready: Path) -> None:
    test, layout, network = rows_and_network(ready)
    seen: list[weakref.ref[pa.Table]] = []

    def pieces() -> Iterator[pa.Table]:
        for at in range(0, len(test), 10):
            assert all(piece() is None for piece in seen[:-1]), "an earlier piece is still held"
            piece = test.slice(at, 10)
            seen.append(weakref.ref(piece))
            yield piece

    assert check_parity(network, layout, Predictor.load(ready / "package"), pieces()).rows == len(test)
    assert len(seen) > 3


def test_the_step_compares_all_test_rows(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_file = read_model_file(ready / "export.toml")
    snapshot = open_snapshot(ingest(model_file, ready).manifest)
    split = fit_split(model_file, snapshot)
    graph = (ready / "package" / "model.onnx").read_bytes()
    monkeypatch.setattr(export, "export_graph", lambda *_: graph)
    monkeypatch.setattr(steps.runs, "log_metrics", lambda *_: None)
    job = SimpleNamespace(
        snapshot=ingest(model_file, ready).manifest, snapshot_digest="d", code="c", model_file=model_file,
        weights=ready / "job" / "t.pt", package=ready / "again",
    )  # fmt: skip
    exported = steps.export_graph.fn(job, split, "run")
    assert exported.parity.rows == len(rows_of(snapshot, split, TEST, ["load"])) > 40


def test_differing_from_the_network_is_a_judgement_and_no_failure_outside() -> None:
    assert ParityError("differs").exit_code == 1


def test_a_sensitive_columns_profile_has_counts_alone(ready: Path) -> None:
    shop = read_contract(ready / "package").columns[2]
    assert len(shop.statistics.model_dump()) > 2
    hidden = contracting.shown(shop.settings.model_copy(update={"sensitive": True}), shop.statistics)
    assert hidden.model_dump() == {"count": shop.statistics.count, "missing": shop.statistics.missing}


def test_a_folder_that_cannot_be_written_is_a_plain_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match="the graph could not be written"):
        contracting.write_graph(tmp_path / "file" / "package", b"", None)  # type: ignore[arg-type]
