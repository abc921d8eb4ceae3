"""Promise 5: a scoring run resolves its version once and stamps it on what it writes, whatever the champion does."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from models.contract import read_contract, write_contract
from tasks.registry.connection import connect
from tasks.registry.versions import find_alias
from tasks.scoring import steps
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files
from tests.conftest import Copy, Small
from tests.small import cli


def make_differ(package: Path) -> None:
    """The graph of a package with all floats of its network halved, and a contract that names it."""
    graph = onnx.load(package / "model.onnx")
    for weight in graph.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            halved = onnx.numpy_helper.to_array(weight) / np.float32(2)
            weight.CopyFrom(onnx.numpy_helper.from_array(halved, weight.name))
    (package / "model.onnx").write_bytes(graph.SerializeToString())
    sha256 = hashlib.sha256((package / "model.onnx").read_bytes()).hexdigest()
    write_contract(read_contract(package).model_copy(update={"graph_sha256": sha256}), package)


def test_a_champion_that_changes_during_the_run_changes_nothing_in_it(
    copy: Copy, small: Small, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pinned"
    copy(name)
    assert cli("promote", name).code == 0
    make_differ(tmp_path / f"copy-{name}")
    copy(name)
    real = steps.versions.download

    def promoted_meanwhile(*words: Any) -> Path:
        connect().set_registered_model_alias(name, "champion", "2")
        return real(*words)

    monkeypatch.setattr(steps.versions, "download", promoted_meanwhile)
    done = cli("score", name, "--input", rows_csv, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.both
    champion = find_alias(name, "champion")
    assert champion is not None and champion.number == "2"
    assert done.json["version"] == "1"
    scored = pd.read_parquet(done.json["predictions"])
    assert set(scored["model"]) == {name}
    assert set(scored["model_version"]) == {"1"}
    expected = tmp_path / "expected"
    score_files(Predictor.load(small.downloaded), [str(rows_csv)], expected, Stamp(name, "1", "r"))
    first = pd.read_parquet(expected / "predictions")["probability_yes"]
    assert scored["probability_yes"].tolist() == first.tolist()
    assert set(scored["run_id"]) == {done.json["run_id"]}
    assert connect().get_run(done.json["run_id"]).data.tags["version"] == "1"
