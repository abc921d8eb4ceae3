import http.server
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import temporary_server
from flows.logs import LARGEST_LOG
from flows.temporary_server import prefect_server
from models.errors import OutsideError
from tests.shared import Databases

CHILD = """
import os, sys
from flows import environment
environment.prepare()
from flows.logs import LARGEST_LOG
from flows.temporary_server import prefect_server
with prefect_server():
    import prefect
print(os.environ["PREFECT_API_URL"], flush=True)
sys.stdin.read()
"""


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def running() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api"
    server.shutdown()


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment without a server, in which none may be started."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    # Set first, so that what a started server leaves in the environment is taken away afterwards.
    monkeypatch.setenv("PREFECT_API_URL", "")
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a server was started"))
    yield


@pytest.mark.usefixtures("no_server")
def test_a_running_server_is_used(running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", running)
    with prefect_server():
        pass
    assert os.environ["PREFECT_API_URL"] == running


@pytest.mark.usefixtures("no_server")
def test_a_server_that_is_gone_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with (
        pytest.raises(OutsideError, match=r"Prefect at http://127\.0\.0\.1:9/api does not answer .*unset"),
        prefect_server(),
    ):
        pass


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    ("url", "shown"),
    [("http://joe:secret@127.0.0.1:9/api", r"http://\*\*\*@127\.0\.0\.1:9/api"), ("nonsense", "nonsense")],
)
def test_an_address_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str, shown: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(OutsideError, match=f"Prefect at {shown} does not answer") as error, prefect_server():
        pass
    assert "secret" not in str(error.value)


FILES = [
    ("profiles.toml", 'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://x/api"\n', True),
    ("profiles.toml", 'active = "mine"\n[profiles.mine]\n[profiles.other]\nPREFECT_API_URL = "http://x/api"\n', False),
    ("prefect.toml", '[api]\nurl = "http://x/api"\n', True),
    ("prefect.toml", "[server.ui]\nenabled = false\n", False),
    ("pyproject.toml", '[tool.prefect.api]\nurl = "http://x/api"\n', True),
    ("pyproject.toml", '[project]\nname = "mine"\n', False),
    (".env", "# mine\nPREFECT_API_URL=http://x/api\n", True),
    (".env", "DATABASE_PASSWORD=x\n# PREFECT_API_URL=http://x/api\n", False),
]


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(("name", "text", "settled"), FILES)
def test_only_a_file_that_names_a_server_is_left_to_prefect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, settled: bool
) -> None:
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    assert temporary_server._is_settled() is settled


def test_a_server_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_server, "END_SECONDS", 0.1)
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.PIPE)
    temporary_server._end(server)
    assert server.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("size", "kept"), [(10, True), (LARGEST_LOG + 1, False)])
@pytest.mark.usefixtures("no_server")
def test_the_log_is_started_anew_when_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, kept: bool
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: None)
    monkeypatch.setattr("atexit.register", lambda *_: None)
    log = tmp_path / "temporary-server.log"
    log.write_bytes(b"x" * size)
    assert temporary_server._start() == log
    assert log.stat().st_size == (size if kept else 0)


@pytest.fixture
def command(tmp_path: Path, databases: Databases) -> Iterator["subprocess.Popen[str]"]:
    """A process that has got itself a temporary server, and waits."""
    databases.give(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD)],
        env={**kept, "PERENNIAL_HOME": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("end", [pytest.param("exit", marks=pytest.mark.soak), "kill"])
def test_the_temporary_server_answers_and_ends_with_its_command(command: "subprocess.Popen[str]", end: str) -> None:
    assert command.stdout
    url = command.stdout.readline().strip()
    with urllib.request.urlopen(f"{url}/health") as answer:
        assert answer.read() == b"true"
    (server,) = psutil.Process(command.pid).children()
    if end == "kill":
        command.kill()
    command.communicate()
    deadline = time.monotonic() + 20
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
