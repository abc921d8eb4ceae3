"""Processes with a mark: ended with all they have started, and nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import marked
from flows.marked import Mark, end_marked
from tests.small import ROOT

SLEEP = "import time; time.sleep(600)"
PARENT = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {SLEEP!r}]).pid, flush=True)
{SLEEP}
"""
STUBBORN = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(0, flush=True)
{SLEEP}
"""
WORKER = """
import signal, subprocess, sys, time
def end(*_):
    run.kill()
    sys.exit()
run = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
signal.signal(signal.SIGTERM, end)
time.sleep(600)
"""
RUN = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).write_text("told of its end")
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
UP = f"""
import os, subprocess, sys
from pathlib import Path
from flows.marked import Mark, start_watchdog
home = Path(sys.argv[1])
print(start_watchdog(home).pid, flush=True)
child = [sys.executable, "-c", {SLEEP!r}]
settings = os.environ | Mark("mlflow", os.getpid(), home).environment
print(subprocess.Popen(child, env=settings, start_new_session=True, stdout=subprocess.DEVNULL).pid, flush=True)
{SLEEP}
"""


class Started:
    def __init__(self) -> None:
        self.all: list[subprocess.Popen[str]] = []

    def __call__(self, program: str, *words: object, mark: Mark | None = None) -> "subprocess.Popen[str]":
        environment = os.environ | (mark.environment if mark else {})
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.all.append(process)
        return process


@pytest.fixture
def start() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.all:
        process.kill()
        process.communicate()


def said(process: "subprocess.Popen[str]") -> int:
    assert process.stdout
    return int(process.stdout.readline())


def gone(pid: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_all_that_bear_the_mark_are_ended_and_nobody_else(start: Started, tmp_path: Path) -> None:
    parent = start(PARENT, mark=Mark("mlflow", 1, tmp_path))
    child = said(parent)
    others = [
        start(SLEEP),
        start(SLEEP, mark=Mark("mlflow", 1, tmp_path / "another")),
        start(SLEEP, mark=Mark("something", 1, tmp_path)),
    ]
    assert end_marked(tmp_path) == 2
    assert gone(parent.pid) and gone(child)
    assert [other.poll() for other in others] == [None] * 3


def test_an_orphan_whose_parent_was_killed_is_found(start: Started, tmp_path: Path) -> None:
    parent = start(PARENT, mark=Mark("worker", 1, tmp_path))
    child = said(parent)
    parent.kill()
    parent.wait()
    assert psutil.pid_exists(child)
    assert end_marked(tmp_path) == 1
    assert gone(child)


def test_those_of_one_process_are_told_from_those_of_the_next(start: Started, tmp_path: Path) -> None:
    first, second = (start(SLEEP, mark=Mark("prefect", pid, tmp_path)) for pid in (11, 111))
    assert end_marked(tmp_path, 11) == 1
    assert gone(first.pid) and second.poll() is None
    assert end_marked(tmp_path) == 1


def test_what_does_not_end_is_killed(start: Started, tmp_path: Path) -> None:
    stubborn = start(STUBBORN, mark=Mark("prefect", 1, tmp_path))
    said(stubborn)
    end_marked(tmp_path, grace=0.2)
    assert stubborn.wait(5) == -signal.SIGKILL


def test_the_runs_of_a_worker_are_asked_before_it_could_kill_them(start: Started, tmp_path: Path) -> None:
    note = tmp_path / "note"
    worker = start(WORKER, RUN, note, mark=Mark("worker", 1, tmp_path))
    until = time.monotonic() + 10
    while not note.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert end_marked(tmp_path) == 2
    assert worker.wait(5) == 0
    assert note.read_text() == "told of its end"


def test_a_mark_that_somebody_else_has_set_is_no_mark(
    start: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(marked.MARK, "worker")
    other = start(SLEEP)
    assert end_marked(tmp_path) == 0
    assert other.poll() is None


def test_what_a_killed_process_has_started_ends_by_itself(start: Started, tmp_path: Path) -> None:
    up = start(UP, tmp_path)
    watchdog, child = said(up), said(up)
    assert psutil.pid_exists(child)
    up.kill()
    up.wait()
    assert gone(child, 20) and gone(watchdog, 20)
