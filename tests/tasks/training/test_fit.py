"""From a snapshot to weights in a file, and back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.errors import OutsideError
from models.modelfile import ModelFile, read_model_file
from tasks.data.snapshot import Snapshot, ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.training.fit import fit_model, load_weights, prepare
from tests.small import table, write_model


def ingested(folder: Path, name: str, frame: pd.DataFrame | None = None, **more: str) -> tuple[ModelFile, Snapshot]:
    model_file = read_model_file(write_model(folder, name, frame, **more))
    return model_file, open_snapshot(ingest(model_file, folder).manifest)


def test_the_weights_file_gives_the_network_back_without_running_code(tmp_path: Path) -> None:
    model_file, snapshot = ingested(tmp_path, "fit", target='column = "broken"\ncost = { false_alarm = 1, miss = 3 }')
    split = fit_split(model_file, snapshot)
    weights = tmp_path / "job" / "trained.pt"
    epochs: list[int] = []
    fitted = fit_model(
        model_file, snapshot, split, tmp_path / "job" / "checkpoint.pt", weights, lambda r: epochs.append(r.epoch)
    )
    assert epochs == [1, 2]
    assert len(fitted.train_loss) == len(fitted.validation_loss) == 2
    assert fitted.rows["train"] + fitted.rows["validation"] < snapshot.rows
    assert fitted.threshold == pytest.approx(0.25)
    loaded = load_weights(weights, model_file)
    assert loaded.classes == ("no", "yes")
    assert (loaded.threshold, loaded.temperature) == (fitted.threshold, fitted.temperature)
    assert sum(p.numel() for p in loaded.network.parameters()) == fitted.parameters
    assert set(loaded.statistics) == set(model_file.columns)
    rows = prepare(model_file, snapshot, split, tmp_path / "scratch").validation
    with torch.inference_mode():
        index, probabilities = loaded.calibrated()(rows.inputs)
    np.testing.assert_array_equal(index.numpy(), (probabilities[:, 1].numpy() >= 0.25).astype(int))


def test_statistics_come_from_the_training_rows_alone(tmp_path: Path) -> None:
    frame = table(200).assign(part=["train"] * 100 + ["validation"] * 50 + ["test"] * 50)
    frame.loc[100:, "heat"] = 1e6
    model_file, snapshot = ingested(tmp_path, "leak", frame, rest='[split]\nkey = "id"\ncolumn = "part"\n')
    prepared = prepare(model_file, snapshot, fit_split(model_file, snapshot), tmp_path / "scratch")
    heat = prepared.statistics["heat"]
    assert (len(prepared.train), len(prepared.validation)) == (100, 50)
    assert "1000000" not in str(heat.model_dump()).replace(".0", "")


def test_a_regression_has_neither_temperature_nor_threshold(tmp_path: Path) -> None:
    frame = table(300)
    frame["broken"] = frame["load"] * 2.5 + 0.25
    model_file, snapshot = ingested(tmp_path, "value", frame)
    job = tmp_path / "job"
    fitted = fit_model(model_file, snapshot, fit_split(model_file, snapshot), job / "c.pt", job / "t.pt")
    assert fitted.temperature is None and fitted.threshold is None
    assert load_weights(job / "t.pt", model_file).classes == ()


def test_a_disk_that_refuses_the_weights_is_a_plain_line(tmp_path: Path) -> None:
    model_file, snapshot = ingested(tmp_path, "disk", table(200))
    with pytest.raises(OutsideError, match=r"nowhere/t\.pt: the weights could not be written"):
        fit_model(
            model_file,
            snapshot,
            fit_split(model_file, snapshot),
            tmp_path / "j" / "c.pt",
            tmp_path / "nowhere" / "t.pt",
        )


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    model_file, snapshot = ingested(tmp_path, "seeds", table(200))
    split = fit_split(model_file, snapshot)
    states = []
    for number, seed in enumerate((0, 0, 1)):
        job = tmp_path / str(number)
        seeded = model_file.model_copy(update={"training": model_file.training.model_copy(update={"seed": seed})})
        fit_model(seeded, snapshot, split, job / "c.pt", job / "t.pt")
        states.append(torch.load(job / "t.pt", weights_only=True)["state"])
    first, same, other = states
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_rate_begins_at_twice_the_given_one_where_weights_were_inherited(tmp_path: Path) -> None:
    def first_rate(name: str, begin_with: Path | None = None, **more: str) -> float:
        model_file, snapshot = ingested(tmp_path / name, "rate", **more)
        split, files = fit_split(model_file, snapshot), (tmp_path / name / "c.pt", tmp_path / name / "t.pt")
        rates: list[float] = []
        fit_model(model_file, snapshot, split, *files, lambda r: rates.append(r.learning_rate), begin_with=begin_with)
        return rates[0]

    cold, heritage = first_rate("cold"), tmp_path / "cold" / "heritage.pt"
    assert cold < 0.01
    assert first_rate("warm", heritage) == pytest.approx(0.04)
    assert first_rate("moved", heritage, rest='[split]\nkey = "id"\ntest = 0.3\n') == pytest.approx(cold, rel=0.3)
