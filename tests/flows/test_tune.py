"""`perennial tune`: a search on record, which goes on after a kill."""

import signal
import time
import tomllib
from pathlib import Path

import pytest
from mlflow.entities import Run

from models.modelfile import read_model_file
from tasks.aside import held
from tasks.registry.connection import connect
from tests.small import cli, command, finished, plain, table, write_model

pytest.importorskip("optuna")
SEARCH = ("--search", "training.learning_rate=0.001..0.1", "--search", "network.width=4,8,16")
LONGER = "[network]\nwidth = 8    # units\nmembers = 2\n[training]\nepochs = 8\nbatch_size = 8\n"


def runs_of(model: str) -> list[Run]:
    """The oldest first."""
    experiment = connect().get_experiment_by_name(model)
    return list(reversed(connect().search_runs([experiment.experiment_id]))) if experiment else []


def test_what_cannot_be_searched_or_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = write_model(tmp_path, "never")
    both = cli("tune", file, "--search", "network.widht=1..2", "--search", "network.depth=0..2")
    assert both.code == 2
    assert both.err.splitlines() == [
        "--search network.widht=1..2: unknown setting; did you mean 'network.width'?",
        "--search network.depth=0..2: input should be greater than or equal to 1 (is 0)",
    ]
    plain(cli("tune", file, "--output", file), 2, str(file), "exists already")
    plain(cli("tune", file, "--output", tmp_path / "other" / "x.toml"), 2, "must lie beside")


@pytest.mark.usefixtures("server")
def test_a_second_search_of_a_model_is_refused(tmp_path: Path, home: Path) -> None:
    file = write_model(tmp_path, "twice")
    with held(home / "tuning" / "twice.lock", "ada@lab"):
        plain(cli("tune", file, "--trials", 1), 1, "twice: a search is under way, held by ada@lab")


@pytest.mark.soak
def test_a_search_goes_on_after_a_kill_and_writes_the_best(server: str, tmp_path: Path, home: Path) -> None:
    file = write_model(tmp_path, "hunt", table(1500), quick=LONGER)
    words = "tune", file, "--trials", 4, *SEARCH, "--json"
    process = command(*words, PREFECT_API_URL=server)
    _wait_for("trial 3")
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = finished(command(*words, PREFECT_API_URL=server))
    assert done.code == 0, done.both
    told = done.json
    assert (told["model"], told["trials"], told["failed"]) == ("hunt", 4, 0)
    assert told["validation_loss"] <= told["before"]
    parent, *trials = runs_of("hunt")
    assert parent.info.run_id == told["run_id"]
    assert parent.info.status == "FINISHED" and parent.info.run_name.startswith("tuned: ")
    assert all(run.data.tags["mlflow.parentRunId"] == told["run_id"] for run in trials)
    crashed = [run for run in trials if "crashed" in run.data.tags]
    assert [(run.info.status, run.info.run_name) for run in crashed] == [("KILLED", "trial 3")]
    kept = [run.info.run_name.partition(":")[0] for run in trials if run not in crashed]
    assert kept == [f"trial {number}" for number in range(1, 5)]
    again = next(run for run in trials if run.info.run_name.startswith("trial 3:"))
    assert again.data.params == crashed[0].data.params
    written = tmp_path / "hunt-tuned.toml"
    assert told["file"] == str(written)
    tuned = read_model_file(written)
    assert (tuned.network.width, tuned.training.learning_rate) == (
        told["best"]["network.width"], told["best"]["training.learning_rate"],
    )  # fmt: skip
    assert "# units" in written.read_text()
    settings = tomllib.loads(file.read_text())
    assert {**tomllib.loads(written.read_text()), "network": 0, "training": 0} == {
        **settings,
        "network": 0,
        "training": 0,
    }
    assert not [run for run in trials if run.data.metrics.get("test_accuracy")]


def _wait_for(name: str) -> None:
    """Until a run of that name has told an epoch."""
    for _ in range(2400):
        if any(run.info.run_name == name and run.data.metrics for run in runs_of("hunt")):
            return
        time.sleep(0.05)
    raise TimeoutError(f"no {name} was begun")
