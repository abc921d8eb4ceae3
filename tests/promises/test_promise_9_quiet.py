"""Promise 9: no usage data leaves the machine."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from flows.environment import QUIET, prepare
from tests.conftest import Small
from tests.small import ROOT, command, finished, write_model

GUARD = """
import os, socket
_connect, _connect_ex, _lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0", ""}
def _note(host):
    with open(os.environ["GUARD_LOG"], "a") as log:
        log.write(str(host) + "\\n")
    raise OSError("the guard lets nothing out: " + str(host))
def _check(address):
    if isinstance(address, tuple) and str(address[0]) not in LOCAL:
        _note(address[0])
def connect(self, address):
    _check(address); return _connect(self, address)
def connect_ex(self, address):
    _check(address); return _connect_ex(self, address)
def getaddrinfo(host, *words, **more):
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name not in LOCAL | {socket.gethostname()}:
        _note(host)
    return _lookup(host, *words, **more)
socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, getaddrinfo
"""


def test_reporting_is_off_by_default(tmp_path: Path) -> None:
    environ = {"PERENNIAL_HOME": str(tmp_path)}
    prepare(environ)
    assert environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environ["DO_NOT_TRACK"] == "1"
    assert set(QUIET) <= set(environ)


def test_prefect_and_mlflow_read_these_switches() -> None:
    probe = (
        "import os; os.environ.clear(); os.environ['PERENNIAL_HOME'] = %r\n"
        "from flows.environment import prepare; prepare()\n"
        "import prefect.settings as s; assert s.get_current_settings().server.analytics_enabled is False\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled; assert is_telemetry_disabled()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe % os.environ["PERENNIAL_HOME"]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_guard_itself_catches_a_connection(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "GUARD_LOG": str(tmp_path / "log")}
    probe = "import urllib.request; urllib.request.urlopen('http://example.org')"
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert (tmp_path / "log").read_text() == "example.org\n"


def test_a_shell_that_takes_the_settings_is_quiet_too(tmp_path: Path) -> None:
    """For `prefect server start`, `mlflow models serve` and python, which are started by hand."""
    said = finished(command("env", PERENNIAL_HOME=str(tmp_path / "a home")))
    assert said.code == 0, said.both
    script = said.out + "".join(f'echo "{name}=${name}"\n' for name in QUIET)
    done = subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{name}={value}" for name, value in QUIET.items()]


LOADED = {
    "by onnxruntime alone": "import onnxruntime; session = onnxruntime.InferenceSession({graph!r})",
    "by MLflow": "from tasks.scoring.pyfunc import _load_pyfunc; session = _load_pyfunc({folder!r})",
}


@pytest.mark.parametrize(("how", "reports"), [("by onnxruntime alone", True), ("by MLflow", False)])
def test_onnx_runtime_keeps_no_reports_where_only_mlflow_loads_a_version(
    small: Small, tmp_path: Path, how: str, reports: bool
) -> None:
    """It collects what it reports beneath the user's home, by native code that no guard of Python's sees."""
    program = LOADED[how].format(graph=str(small.downloaded / "model.onnx"), folder=str(small.downloaded))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    assert any(tmp_path.rglob("onnxruntime.db")) is reports


@pytest.mark.slow
def test_a_training_connects_to_nothing_outside(tmp_path: Path) -> None:
    """With a new home, in which databases are made, and the temporary Prefect server, whose process is guarded too."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    file, home = write_model(tmp_path, "quiet"), tmp_path / "home"
    settings = {
        "PYTHONPATH": f"{tmp_path / 'guard'}:{ROOT}:{ROOT / 'infra'}",
        "GUARD_LOG": str(tmp_path / "log"),
        "PERENNIAL_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
    }
    done = finished(command("train", file, "--json", **settings))
    assert done.code == 0, done.both
    assert not (tmp_path / "log").exists(), (tmp_path / "log").read_text()
    assert gone(home), "the server ends with the command"


def gone(home: Path) -> bool:
    """Whether no process works on the state folder any more; they have some seconds for that."""
    deadline = time.monotonic() + 20
    while (left := any(map(partial(works_on, home), psutil.process_iter()))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not left


def works_on(home: Path, process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("PERENNIAL_HOME") == str(home)
    except psutil.Error:
        return False
