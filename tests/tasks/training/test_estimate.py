from pathlib import Path

import pytest

from models.modelfile import read_model_file
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.training.estimate import estimate_training
from tasks.training.fit import prepare
from tests.small import table, write_model


def test_an_estimate_counts_rows_and_parameters_and_leaves_nothing(tmp_path: Path) -> None:
    model_file = read_model_file(write_model(tmp_path, "estimate", table(300)))
    snapshot = open_snapshot(ingest(model_file, tmp_path).manifest)
    before = sorted(tmp_path.rglob("*"))
    found = estimate_training(model_file, snapshot)
    assert sorted(tmp_path.rglob("*")) == before
    prepared = prepare(model_file, snapshot, fit_split(model_file, snapshot), tmp_path / "scratch")
    assert sum(found.rows.values()) == 300
    assert found.rows["train"] == len(prepared.train)
    assert found.parameters == sum(p.numel() for p in prepared.build(model_file).parameters())
    assert found.longest_seconds == pytest.approx(found.seconds_per_epoch * 2)
