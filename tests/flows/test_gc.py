"""`perennial gc` as a user meets it: what it shows, what it leaves, and what works afterwards."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.data.snapshot import open_snapshot
from tasks.registry.runs import end_run
from tasks.registry.versions import list_versions
from tests.conftest import Copy
from tests.small import ROOT, Outcome, cli, command, finished, plain, table, write_model

KILLED = """
import os, pathlib, shutil, signal, sys
from contextlib import nullcontext
from flows.environment import prepare
home, left = prepare(), [0]
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from tasks.registry import removal
from tasks.retention.collect import Rule, let_go

def counted(owner, name):
    real = getattr(owner, name)
    def step(*args, **options):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return real(*args, **options)
    setattr(owner, name, step)

for owner, names in (
    (MlflowClient, ("delete_model_version", "delete_logged_model", "delete_run")),
    (SqlAlchemyStore, ("_hard_delete_run", "_hard_delete_logged_model")),
    (removal, ("_remove_files",)), (shutil, ("rmtree",)), (pathlib.Path, ("unlink", "rename")),
):
    for name in names:
        counted(owner, name)
for line in sys.stdin:
    child = os.fork()
    if not child:
        left[0] = int(line)
        let_go(Rule(0, 0), home, lambda model: nullcontext())
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""For each number on its input removes in a process of its own, which kills itself before the step after so many."""


def test_a_preview_changes_nothing_and_a_real_run_removes_what_it_showed(copy: Copy, home: Path) -> None:
    name = "gc-command"
    for _ in range(2):
        copy(name)
    for version in list_versions(name):
        end_run(version.run_id, "FINISHED")
    limits = (name, "--older-than", 0, "--keep-versions", 0)
    assert cli("gc", name).out == "nothing would go\n"
    shown = cli("gc", *limits)
    assert (shown.code, shown.err) == (0, "")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["kind", "version", "run", "would"]
    assert "nothing was changed, --apply removes it" in shown.out
    assert len(list_versions(name)) == 2
    done = cli("gc", *limits, "--apply", "--json")
    assert done.code == 0, done.both
    assert done.json["applied"]
    assert [(item["kind"], item["model"]) for item in done.json["items"]] == [("version", name), ("run", name)]
    assert done.json["bytes"] == sum(item["bytes"] for item in done.json["items"]) > 0
    assert [version.number for version in list_versions(name)] == ["2"]
    told = cli("history", name, "1")
    assert "removed" in told.out
    assert "has no alias" in told.out


def test_problems_exit_with_3_and_unknown_names_with_2(copy: Copy, home: Path) -> None:
    copy("gc-problem")
    (home / "snapshots" / "gc-problem" / "bad.json").write_text("{")
    said = cli("gc", "gc-problem")
    assert said.code == 3
    assert "problem: " in said.out
    plain(cli("gc", "gc-nobody"), 2, "gc-nobody: no such model")


def run(home: Path, *words: object) -> Outcome:
    said = finished(command(*words, **settings(home)))
    assert said.code == 0, said.both
    return said


def settings(home: Path) -> dict[str, str]:
    return {"PERENNIAL_HOME": str(home), "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}


def whole(home: Path) -> None:
    """Passes where every manifest has its parts, and every version and run that MLflow shows has its files."""
    for path in (home / "snapshots" / "small").glob("[!.]*.json"):
        assert len(open_snapshot(path).table()) > 0
    with sqlite3.connect(home / "mlflow.db") as opened:
        shown = "SELECT artifact_uri FROM runs WHERE lifecycle_stage = 'active' UNION SELECT artifact_location "
        models = "FROM logged_models JOIN model_versions ON source = 'models:/' || model_id"
        places = [uri for (uri,) in opened.execute(shown + models)]
    assert places
    assert all(any(Path(uri.removeprefix("file://")).iterdir()) for uri in places)


@contextmanager
def removing(home: Path) -> Iterator[Callable[[int], int]]:
    """Gives the exit code of a removal that is killed after so many steps."""
    words = [sys.executable, "-c", KILLED]
    with subprocess.Popen(
        words, cwd=ROOT, env=os.environ | settings(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked and told

        def remove(steps: int) -> int:
            print(steps, file=asked, flush=True)
            return int(told.readline())

        yield remove
        asked.close()


@pytest.mark.soak
def test_killed_at_every_step_nothing_dangles_and_all_commands_work_afterwards(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server)
    home, rows = tmp_path / "home", tmp_path / "rows.csv"
    table(50, seed=9).drop(columns="broken").to_csv(rows, index=False)
    file = write_model(tmp_path, "small", rest="[promotion]\nmin_rows = 50\nresamples = 100\n")
    run(home, "train", file)
    run(home, "promote", "small")
    run(home, "score", "small", "--input", rows, "--output", tmp_path / "first.parquet")
    for seed in (1, 2):
        table(600, seed).to_csv(tmp_path / "small.csv", index=False)
        run(home, "train", file)
    old = time.time() - 2 * 86_400
    for path in (home / "snapshots").rglob("*"):
        os.utime(path, (old, old))
    whole(home)
    # Each is killed one step later than the last, so that all of them get further.
    with removing(home) as remove:
        steps = 0
        while (code := remove(steps)) == -signal.SIGKILL:
            whole(home)
            steps += 1
    assert steps > 3 and code == 0
    assert run(home, "gc", "--older-than", 0, "--keep-versions", 0, "--apply", "--json").json["items"] == []
    assert len(list((home / "snapshots" / "small").glob("[!.]*.json"))) == 2
    assert len(list((home / "snapshots" / "small" / "parts").iterdir())) == 2
    run(home, "score", "--verify", tmp_path / "first.parquet")
    assert run(home, "score", "small", "--input", rows, "--output", tmp_path / "b.csv", "--json").json["version"] == "1"
    judged = finished(command("promote", "small", "--json", **settings(home)))
    assert judged.json["version"] == "3", judged.both
    assert run(home, "retrain", file, "--json").json["unchanged"]
    assert "removed" in run(home, "history", "small", 2).out
