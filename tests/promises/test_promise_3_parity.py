"""Promise 3: torch and ONNX Runtime agree on raw rows, and a run in which they don't fails."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from models.packaged import read_model_settings
from models.sections import Promotion
from tasks.export import export, parity
from tasks.hardware.variant import register_variant
from tasks.registry.connection import connect
from tasks.registry.runs import RunTitle, start_run
from tasks.registry.versions import download, find_version, list_versions
from tasks.scoring.batch import Stamp
from tasks.scoring.score import score_files
from tests.conftest import Copy, Small
from tests.promises.conftest import Mixed
from tests.small import QUICK, cli, plain, write_model
from tests.tasks.hardware.made import point


def test_the_difference_is_on_the_run_and_on_the_version(small: Small) -> None:
    recorded = connect().get_run(small.run_id).data.metrics["parity"]
    assert 0 <= recorded <= parity.TOLERANCE
    assert float(find_version("small", "1").tags["parity"]) == pytest.approx(recorded, rel=0.01, abs=1e-12)


def test_a_difference_beyond_tolerance_fails_the_training(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph of other weights takes the place of the exported one."""
    monkeypatch.setattr(export, "export_graph", lambda *_: (small.package / "model.onnx").read_bytes())
    file = write_model(tmp_path, "unequal", quick=QUICK.replace("epochs = 2", "epochs = 2\nseed = 1"))
    plain(cli("train", file), 1, "unequal: torch and ONNX Runtime differ by", "the export was stopped")
    assert list_versions("unequal") == []
    (run,) = connect().search_runs([connect().get_experiment_by_name("unequal").experiment_id])
    assert run.info.status == "FAILED"
    assert "ParityError" in run.data.tags["mlflow.note.content"]


def test_texts_pictures_and_recordings_agree_too(mixed: Mixed) -> None:
    """On every test row of a model of mixed kinds, missing values among them."""
    assert mixed.parity.rows >= 10
    assert mixed.parity.difference <= parity.TOLERANCE
    assert mixed.parity.labels_differ == 0


def test_a_variant_that_is_worse_than_its_parent_is_refused(copy: Copy, home: Path, tmp_path: Path) -> None:
    """Whatever its measurement said: it is judged again, by the interval on rows that neither has seen."""
    copy("coarse", promotion=Promotion(min_rows=50, resamples=100))
    assert cli("promote", "coarse").code == 0
    parent = find_version("coarse", "1")
    package = download(parent, tmp_path / "package")
    model = onnx.load(package / "model.onnx")
    for weights in (each for each in model.graph.initializer if len(each.dims) > 1 and each.data_type == 1):
        spoilt = np.random.default_rng(0).permutation(onnx.numpy_helper.to_array(weights).ravel())
        weights.CopyFrom(onnx.numpy_helper.from_array(spoilt.reshape(tuple(weights.dims)), weights.name))
    onnx.save(model, tmp_path / "worse.onnx")
    praised = point(9000, "int8-tensor")
    run_id = start_run(RunTitle("coarse", "measure", "measure"), home)
    variant = register_variant(
        parent, package, tmp_path / "worse.onnx", praised, "accuracy", read_model_settings(package), run_id
    )
    assert variant.tags["parent"] == "1" and "parity" not in variant.tags
    said = cli("promote", "coarse")
    assert said.code == 1
    assert "worse than that of its parent, version 1" in said.out
    assert find_version("coarse", "1").aliases == ("champion",)


def test_a_row_is_scored_the_same_alone_and_among_others(mixed: Mixed, tmp_path: Path) -> None:
    """Texts of other lengths, and files of other sizes, in one batch change nothing."""
    frame = pd.read_csv(mixed.rows)
    together = score_files(mixed.predictor, [str(mixed.rows)], tmp_path / "all", Stamp("m", "1", "r"))
    expected = pd.read_parquet(together.predictions).set_index("row")["probability_good"]
    for row in (1, 8, 20):
        beside = mixed.rows.with_name(f"row-{row}.csv")
        frame.iloc[[row - 1]].to_csv(beside, index=False)
        alone = score_files(mixed.predictor, [str(beside)], tmp_path / str(row), Stamp("m", "1", "r"))
        beside.unlink()
        np.testing.assert_allclose(pd.read_parquet(alone.predictions)["probability_good"], expected[row], atol=1e-6)
