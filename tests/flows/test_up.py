"""`perennial up`, refused and in earnest."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import up
from flows.marked import PARTS, Mark, end_marked, marked
from flows.parts import Parts
from flows.up import Ports, Up, asked_to_end, run_up
from models.errors import InputError, OutsideError
from tests.promises.test_promise_9_quiet import GUARD
from tests.shared import Databases
from tests.small import ROOT, cli, command, finished, plain, write_model

NO_SERVER = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder in which no process may be started."""
    for name in NO_SERVER:
        # Set first, so that what a command leaves in the environment is taken away afterwards.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["--prefect-port", "--mlflow-port"])
def test_a_given_port_that_is_taken_is_a_plain_error(own: Path, taken: int, option: str) -> None:
    plain(cli("up", option, taken), 2, f"{option} {taken}", "in use", "choose another one")


def test_one_port_for_both_is_a_plain_error(own: Path) -> None:
    plain(cli("up", "--prefect-port", 4999, "--mlflow-port", 4999), 2, "both are 4999")


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_servers_that_the_environment_names_are_not_doubled(
    own: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "https://ada:secret@servers.example")
    said = cli("up", "--json")
    assert said.code == 2 and said.json["exit_code"] == 2
    assert f"{name} (https://***@servers.example): names a server already" in said.err


def test_a_usual_port_that_is_taken_gives_way_and_is_told(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "PREFECT_PORT", taken)
    said: list[str] = []
    prefect, mlflow = up._listeners(Ports(None, None), said.append)
    with prefect, mlflow:
        port = prefect.getsockname()[1]
    assert port > taken
    assert said[0] == f"port {taken} is in use; Prefect takes {port}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_taken_as_a_wish_to_end_and_handed_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with asked_to_end() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), number)
        assert asked.wait(5)
    assert signal.getsignal(number) is before


def test_a_second_start_finds_the_folder_taken_before_anything_is_started(own: Path) -> None:
    with up.alone(own, up.Servers(123, "http://127.0.0.1:1", "http://127.0.0.1:2")):
        plain(cli("up"), 3, "process 123", "Prefect http://127.0.0.1:1, MLflow http://127.0.0.1:2", "end it first")


def test_nothing_is_kept_after_a_refusal(own: Path, taken: int) -> None:
    with pytest.raises(InputError):
        run_up(own, Ports(mlflow=taken), lambda _: None, lambda _: None)
    assert not (own / "up.lock").exists()


@pytest.mark.parametrize(("cores", "runs"), [(1, 4), (16, 16)])
def test_the_worker_carries_out_as_many_runs_at_once_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, runs: int
) -> None:
    monkeypatch.setattr(up, "usable_cores", lambda: cores)
    assert up.runs_at_once() == runs


def test_what_people_are_told() -> None:
    lines = Up(1, "http://127.0.0.1:4200", "http://127.0.0.1:5000", "perennial", 12.345).lines()
    assert lines[0].startswith("all healthy after 12.3 s")
    assert any("http://127.0.0.1:4200" in line for line in lines)


@pytest.fixture
def small_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder on which one program of Python waits in place of a server, and another one ends at once."""

    def begin(parts: Parts, *_: object) -> bool:
        parts.start("mlflow", ["http.server", "0", "--bind", "127.0.0.1"], {})
        parts.start("worker", ["platform"], {})
        return True

    for name in NO_SERVER:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(up, "_start", begin)
    yield tmp_path
    end_marked(tmp_path)


def test_when_one_ends_by_itself_all_are_stopped(small_programs: Path) -> None:
    said: list[str] = []
    addresses: list[Up] = []
    with pytest.raises(OutsideError, match=r"the worker ended by itself \(exit code 0\), so all are stopped"):
        run_up(small_programs, Ports(), said.append, addresses.append)
    assert (said[-1], addresses[0].pid) == ("all stopped", os.getpid())
    assert of(small_programs) == [] and not (small_programs / "up.lock").exists()


def test_what_a_killed_one_has_left_is_ended_first(small_programs: Path) -> None:
    mark = Mark("prefect", 2**22 + 1, small_programs).environment
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=os.environ | mark)
    said: list[str] = []
    with pytest.raises(OutsideError, match="the worker ended by itself"):
        run_up(small_programs, Ports(), said.append, lambda _: None)
    assert said[0] == "ended 1 processes that a killed `perennial up` had left"
    assert left.wait(10) < 0


def test_a_store_that_cannot_be_opened_ends_mlflow_with_one_plain_line(tmp_path: Path) -> None:
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/file/mlflow.db"}
    (tmp_path / "file").write_text("")
    words = [sys.executable, "-m", "flows.serve_mlflow", "1"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "mlflow.db: MLflow's database can't be made" in done.stderr


def start(home: Path) -> "subprocess.Popen[str]":
    """In a process of its own, without the settings of the tests' own servers; what reaches outside is noted."""
    guard = home.parent / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(GUARD)
    with pytest.MonkeyPatch.context() as patch:
        for name in (*NO_SERVER, "PREFECT_LOGGING_TO_API_ENABLED"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTHONPATH", f"{guard}:{ROOT}:{ROOT / 'infra'}")
        patch.setenv("GUARD_LOG", str(home.parent / "outside"))
        ports = ("--prefect-port", free_port(), "--mlflow-port", free_port())
        return command("up", "--json", *ports, PERENNIAL_HOME=str(home))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    found: dict[str, Any] = json.loads(line or "{}")
    assert "prefect" in found, process.communicate()
    return found


def of(home: Path) -> list[psutil.Process]:
    return [process for part in PARTS for process in marked(part, home)]


def fetched(url: str, body: bytes | None = None) -> bytes:
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        content: bytes = answer.read()
    return content


@pytest.fixture
def running(tmp_path: Path, databases: Databases) -> Iterator["subprocess.Popen[str]"]:
    process = start(databases.give(tmp_path / "home"))
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def asked_from_elsewhere(home: Path, *words: object) -> Any:
    """What another command says, in a process that knows the state folder alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-c", "from perennial import main; main()", *map(str, words), "--json"],
        cwd=ROOT, env=kept | {"PERENNIAL_HOME": str(home)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_start_work_for_other_commands_and_end_together(running: "subprocess.Popen[str]", tmp_path: Path) -> None:
    home, addresses = tmp_path / "home", told(running)
    assert addresses["pid"] == running.pid
    assert b"<title>" in fetched(addresses["mlflow"]) and b"<title>" in fetched(addresses["prefect"])
    listening = {c.laddr.ip for p in of(home) for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    plain(finished(start(home)), 3, f"process {running.pid}", addresses["prefect"], addresses["mlflow"])
    assert asked_from_elsewhere(home, "env")["settings"]["PREFECT_API_URL"] == f"{addresses['prefect']}/api"
    assert asked_from_elsewhere(home, "ui", "--print-uri") == {"tracking_uri": addresses["mlflow"]}
    asked_from_elsewhere(home, "deploy", write_model(tmp_path, "deployed"))
    (worker,) = [process for process in marked("worker", home) if "start" in process.cmdline()]
    assert f"--limit {up.runs_at_once()}" in " ".join(worker.cmdline())
    pool = json.loads(fetched(f"{addresses['prefect']}/api/work_pools/perennial"))
    assert (pool["type"], pool["status"]) == ("process", "READY")
    assert json.loads(fetched(f"{addresses['prefect']}/api/deployments/count", b"{}")) == 5
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert (out, err.strip().splitlines()[-1]) == ("", "all stopped")
    assert of(home) == []
    assert not (tmp_path / "outside").exists(), (tmp_path / "outside").read_text()
    assert asked_from_elsewhere(home, "ui", "--print-uri") == {"tracking_uri": f"sqlite:///{home}/mlflow.db"}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_killed_up_leaves_nothing_and_when_the_worker_dies_all_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = start(home)
    told(first)
    watchdogs = [child for child in psutil.Process(first.pid).children() if "flows.marked" in child.cmdline()]
    for process in (*watchdogs, first):
        process.kill()
    first.communicate()
    assert len(of(home)) >= 2
    second = start(home)
    told(second)
    assert {process.environ()["PERENNIAL_UP"].split()[1] for process in of(home)} == {str(second.pid)}
    marked("worker", home)[0].kill()
    out, err = second.communicate(timeout=60)
    assert second.returncode == 3
    assert "the worker ended by itself (signal 9), so all are stopped" in json.loads(out)["error"][0]
    assert "that a killed `perennial up` had left" in err
    assert of(home) == []
