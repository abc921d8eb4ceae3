"""Promise 8: the same data, model file, code and seed give the same weights, also after an interruption."""

import hashlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.modelfile import read_model_file
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.registry.connection import connect
from tasks.registry.versions import find_version
from tasks.training.fit import fit_model
from tasks.training.loop import EpochReport
from tests.conftest import Small
from tests.promises.conftest import Mixed
from tests.small import Outcome, cli, command, finished, table, write_model

LONGER = """
[network]
width = 16
depth = 2
members = 4
[training]
epochs = 12
patience = 12
batch_size = 16
[evaluation]
resamples = 50
"""


def graph_of(said: Outcome) -> str:
    """SHA-256 of the graph that a training registered."""
    assert said.code == 0, said.both
    found = find_version(said.json["model"], said.json["version"]).sha256
    assert found
    return found


def epochs_of(run_id: str) -> list[int]:
    return sorted(metric.step for metric in connect().get_metric_history(run_id, "train_loss"))


@pytest.mark.usefixtures("no_evaluation")
def test_the_same_training_gives_the_same_bytes(small: Small, tmp_path: Path) -> None:
    """Under another name and from another folder, neither of which the weights may depend on."""
    again = graph_of(cli("train", write_model(tmp_path, "twice"), "--json"))
    assert again == hashlib.sha256((small.package / "model.onnx").read_bytes()).hexdigest()


def test_augmented_pictures_and_sound_are_the_same_after_an_interruption(mixed: Mixed, tmp_path: Path) -> None:
    """What varies them draws from seed and epoch, so that neither a second training nor a resumed one differs."""
    model_file = read_model_file(mixed.model_file)
    model_file = model_file.model_copy(update={"training": model_file.training.model_copy(update={"epochs": 3})})
    snapshot = open_snapshot(ingest(model_file, tmp_path / "home").manifest)
    split = fit_split(model_file, snapshot)

    def weights(name: str, on_epoch: Callable[[EpochReport], None] | None = None) -> dict[str, torch.Tensor]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        fit_model(model_file, snapshot, split, folder / "checkpoint.pt", folder / "weights.pt", on_epoch)
        state: dict[str, torch.Tensor] = torch.load(folder / "weights.pt", weights_only=True)["state"]
        return state

    def interrupt(report: EpochReport) -> None:
        if report.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights("interrupted", interrupt)
    first, again, resumed = weights("first"), weights("again"), weights("interrupted")
    for name, value in first.items():
        assert torch.equal(value, again[name]) and torch.equal(value, resumed[name]), name


def test_a_warm_start_gives_the_same_weights_also_after_an_interruption(tmp_path: Path) -> None:
    model_file = read_model_file(write_model(tmp_path, "warm"))
    model_file = model_file.model_copy(update={"training": model_file.training.model_copy(update={"epochs": 3})})
    snapshot = open_snapshot(ingest(model_file, tmp_path / "home").manifest)
    split = fit_split(model_file, snapshot)

    def weights(
        name: str, begin_with: Path | None, on_epoch: Callable[[EpochReport], None] | None = None
    ) -> dict[str, torch.Tensor]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        files = folder / "checkpoint.pt", folder / "weights.pt"
        fit_model(model_file, snapshot, split, *files, on_epoch, begin_with=begin_with)
        state: dict[str, torch.Tensor] = torch.load(files[1], weights_only=True)["state"]
        return state

    def interrupt(report: EpochReport) -> None:
        if report.epoch == 3:
            raise KeyboardInterrupt

    cold, heritage = weights("cold", None), tmp_path / "cold" / "heritage.pt"
    with pytest.raises(KeyboardInterrupt):
        weights("interrupted", heritage, interrupt)
    first, again, resumed = (weights(name, heritage) for name in ("first", "again", "interrupted"))
    assert not all(torch.equal(value, first[name]) for name, value in cold.items())
    for name, value in first.items():
        assert torch.equal(value, again[name]) and torch.equal(value, resumed[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("no_evaluation")
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(server: str, tmp_path: Path, home: Path) -> None:
    """Killed after its third epoch, resumed in the same run; then trained anew in this process without disturbance."""
    file = write_model(tmp_path, "killed", table(3000), quick=LONGER)
    process = command("train", file, "--json", PREFECT_API_URL=server)
    run_id = _wait_for_epoch(3, home, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(epochs_of(run_id))
    assert 3 <= done < 12
    resumed = finished(command("train", file, "--json", PREFECT_API_URL=server))
    sha = graph_of(resumed)
    assert resumed.json["run_id"] == run_id
    assert sorted(set(epochs_of(run_id))) == list(range(1, 13))
    assert len(epochs_of(run_id)) <= 13
    assert connect().get_run(run_id).info.status == "FINISHED"
    undisturbed = cli("train", file, "--fresh", "--json")
    assert graph_of(undisturbed) == sha
    assert undisturbed.json["run_id"] != run_id


def _wait_for_epoch(epoch: int, home: Path, process: object) -> str:
    """The run, once it has logged that many epochs."""
    note = None
    for _ in range(6000):
        note = note or next((home / "training" / "killed").glob("*/run_id"), None)
        if note and note.exists() and len(epochs_of(note.read_text())) >= epoch:
            return note.read_text()
        time.sleep(0.02)
    raise TimeoutError("no epoch was logged")
