"""`make bench NAME=loop`, in its parts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import loop
from benchmarks.measuring.plant import Plant
from models.modelfile import read_model_file


def test_after_the_change_other_sensors_tell_of_failures(tmp_path: Path) -> None:
    plant = Plant(tmp_path, np.random.default_rng(0))
    model_file = read_model_file(plant.begin(3000))
    assert model_file.monitor.input == (f"{tmp_path}/incoming/*.csv",)
    before = pd.read_csv(tmp_path / "history" / "000.csv")
    after = plant.made(3000, changed=True)
    assert not set(before["row"]) & set(after["row"])
    told = [frame.corr(numeric_only=True)["failure"] for frame in (before, after)]
    assert told[0]["sensor 0"] > 0.3 and abs(told[1]["sensor 0"]) < 0.1
    assert after["sensor 0"].mean() - before["sensor 0"].mean() == pytest.approx(2, abs=0.1)
    assert 0.05 < after["failure"].mean() < 0.3
    path = plant.comes_in(after, 1)
    assert "failure" not in pd.read_csv(path).columns


def test_the_lead_is_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "RESAMPLES", 200)
    labels = np.array([0, 1] * 200)
    good, bad = labels + 0.0, np.random.default_rng(0).random(400)
    low, lead, high = loop.paired_lead(labels, good, bad)
    assert 0 < low < lead < high
    assert loop.paired_lead(labels, bad, bad) == (0, 0, 0)


def test_windows_without_drift_lead_to_few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "WINDOWS", 5)
    assert loop.alarms() == 0
    monkeypatch.setattr(loop, "false_alarms", lambda *_: iter([True, False, True, True, False]))
    assert loop.alarms() == 2
