"""Promise 8: the same data, model file, code and seed give the same weights, also after an interruption."""

import hashlib
import signal
import time
from pathlib import Path

import pytest

from tasks.registry.connection import connect
from tasks.registry.versions import find_version
from tests.conftest import Small
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


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(server: str, tmp_path: Path, home: Path) -> None:
    """Killed after its third epoch, resumed in the same run; then trained anew without disturbance."""
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
    undisturbed = finished(command("train", file, "--fresh", "--json", PREFECT_API_URL=server))
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
