"""`perennial train --engine ray` from the command line, interrupted by Ctrl-C and started again."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from tasks.registry.connection import connect
from tests.small import cli, command, finished, plain, table, write_model

LONGER = """
[network]
width = 16
depth = 2
members = 4
[training]
epochs = 8
patience = 8
batch_size = 16
[evaluation]
resamples = 50
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "2"), "--workers 2 needs --engine ray"),
        (("--address", "head:6379"), "--address needs --engine ray"),
    ],
)
def test_words_that_need_ray_say_so(tmp_path: Path, server: str, words: tuple[str, ...], said: str) -> None:
    assert server
    for name in ("train", "retrain"):
        plain(cli(name, write_model(tmp_path, "words"), *words), 2, said)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_an_interrupt_leaves_no_process_and_the_training_goes_on_in_its_run(
    server: str, tmp_path: Path, home: Path
) -> None:
    pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    file = write_model(tmp_path, "rays", table(3000), quick=LONGER)
    words = ("train", file, "--engine", "ray", "--workers", "2", "--json")
    process = command(*words, PREFECT_API_URL=server)
    run_id = wait_for_epoch(2, home)
    started = psutil.Process(process.pid).children(recursive=True)
    assert [p for p in started if p.name().startswith("ray::RayTrainW")]
    process.send_signal(signal.SIGINT)
    stopped = finished(process)
    assert stopped.code == 130
    plain(stopped, 130, "interrupted; the same command goes on")
    assert not psutil.wait_procs(started, timeout=20)[1]
    done = len(epochs_of(run_id))
    assert 2 <= done < 8
    resumed = finished(command(*words, PREFECT_API_URL=server))
    assert resumed.code == 0, resumed.both
    assert (resumed.json["run_id"], resumed.json["version"], resumed.err) == (run_id, "1", "")
    assert sorted(set(epochs_of(run_id))) == list(range(1, 9))
    assert connect().get_run(run_id).data.params["workers"] == "2"
    assert not list((home / "training" / "rays").glob("*/*"))


def epochs_of(run_id: str) -> list[int]:
    return sorted(metric.step for metric in connect().get_metric_history(run_id, "train_loss"))


def wait_for_epoch(epoch: int, home: Path) -> str:
    """The run, once it has logged that many epochs."""
    for _ in range(4000):
        note = next((home / "training" / "rays").glob("*/run_id"), None)
        if note and len(epochs_of(note.read_text())) >= epoch:
            return note.read_text()
        time.sleep(0.05)
    raise TimeoutError("no epoch was logged")
