"""Promise 3: torch and ONNX Runtime agree on raw rows, and a run in which they don't fails."""

from pathlib import Path

import pytest

from tasks.export import export, parity
from tasks.registry.connection import connect
from tasks.registry.versions import find_version, list_versions
from tests.conftest import Small
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
