import http.server
import os
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

from flows.temporary_server import prefect_server
from models.errors import OutsideError

CHILD = """
import os, sys
from flows import environment
environment.prepare()
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
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
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
def test_settings_files_of_prefect_are_left_to_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    (tmp_path / "profiles.toml").write_text('active = "mine"\n')
    with prefect_server():
        pass
    assert "PREFECT_API_URL" not in os.environ


@pytest.fixture
def command(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has got itself a temporary server, and waits."""
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
@pytest.mark.parametrize("end", ["exit", "kill"])
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
