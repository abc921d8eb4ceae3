"""Promise 3: torch and ONNX Runtime agree on raw rows, and a run in which they don't fails."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.export import export, parity
from tasks.registry.connection import connect
from tasks.registry.versions import find_version, list_versions
from tasks.scoring.batch import Stamp
from tasks.scoring.score import score_files
from tests.conftest import Small
from tests.promises.conftest import Mixed
from tests.small import QUICK, cli, plain, write_model


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
