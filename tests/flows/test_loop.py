"""Drift that leads to a retraining, and to a word to those who want to know, on `perennial up` without a person."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measuring.servers_up import Up, servers_up
from tests.small import ROOT, table, write_model

PATIENCE_SECONDS = 120
REST = '[promotion]\nmin_rows = 50\nresamples = 100\n[notify]\nwebhook = "hook"\non = ["drift", "failure"]\n'
MAKE_BLOCK = "import sys; from prefect.blocks.webhook import Webhook; Webhook(url=sys.argv[1]).save('hook')"


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    """The address of a web hook, and what it was sent."""
    sent: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", sent
    server.shutdown()


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'infra'}")
    home = tmp_path / "home"
    home.mkdir()
    with servers_up(home) as running:
        yield running


def window(folder: Path, seed: int) -> Path:
    frame = table(300, seed=seed).drop(columns="broken")
    frame["heat"] += 20
    path = folder / f"window-{seed}.csv"
    frame.to_csv(path, index=False)
    return path


def eventually(look: Any) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.5)
    return found


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_drift_starts_a_retraining_and_is_told(up: Up, hook: tuple[str, list[Any]], tmp_path: Path) -> None:
    address, sent = hook
    subprocess.run(
        [sys.executable, "-c", MAKE_BLOCK, address],
        env={"PREFECT_API_URL": f"{up.prefect}/api", "PREFECT_HOME": str(tmp_path / "prefect")}, check=True, cwd=ROOT,
    )  # fmt: skip
    file = write_model(tmp_path, "loop", rest=REST)
    up.command("deploy", str(file))
    up.command("train", str(file))
    assert up.command("promote", "loop")["promoted"]
    first = up.command("monitor", "loop", "--input", str(window(tmp_path, 1)))
    assert first["drifted"] and first["event"] is None
    assert up.runs_of("retrain/loop") == [] == sent
    table(900, seed=3).to_csv(tmp_path / "loop.csv", index=False)
    second = up.command("monitor", "loop", "--input", str(window(tmp_path, 2)))
    assert second["event"] == "perennial.model.drifted"
    (run,) = eventually(lambda: up.runs_of("retrain/loop"))
    ended = up.ended(run["id"], PATIENCE_SECONDS)
    assert (ended["state_type"], ended["state_name"]) == ("COMPLETED", "Completed")
    assert not ended["auto_scheduled"] and ended["created_by"]["type"] == "AUTOMATION"
    assert [
        event["version"] for event in up.command("history", "loop")["events"] if event["event"] == "registered"
    ] == ["1", "2"]
    (told,) = eventually(lambda: [each for each in sent if each["topic"] == "drift"])
    assert (told["model"], told["payload"]["run_id"]) == ("loop", second["run_id"])
    assert told["text"].startswith("loop: version 1: 2 of the last 2 windows have drifted or are worse than promised")
    broken = up.ask("deployments/name/score/loop")["id"]
    failing = up.ask(
        f"deployments/{broken}/create_flow_run", {"parameters": {"input": ["none.csv"], "output": "x.csv"}}
    )
    assert up.ended(failing["id"], PATIENCE_SECONDS)["state_type"] == "FAILED"
    (failed,) = eventually(lambda: [each for each in sent if each["topic"] == "failure"])
    assert "score ended as Failed" in failed["text"] and "none.csv" in failed["text"]
    assert len([each for each in sent if each["topic"] == "drift"]) == 1
