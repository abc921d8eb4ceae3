"""wrk is asked for what it is asked for, and what it says is read."""

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks import claim
from benchmarks.claim import CHOSEN, CONNECTIONS, SLOWEST, USUAL, Side
from benchmarks.measuring.wrk import Answered, ask_by_wrk, is_installed
from tests.tasks.hardware.made import point

BODY = '{"rows": [{"a": 1}]}'


class Handler(BaseHTTPRequestHandler):
    """Answers 200 to what is expected, and 404 to anything else."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        right = body == BODY and self.headers["Content-Type"] == "application/json" and self.path == "/predict"
        self.send_response(200 if right else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_the_body_is_posted_and_failures_are_counted(url: str) -> None:
    found = ask_by_wrk(f"{url}/predict", BODY, 2, 1)
    assert found.requests > 5 and found.failed == 0
    assert found.rate == found.requests / found.seconds and 0 < found.p50_ms <= found.p99_ms
    lost = ask_by_wrk(f"{url}/elsewhere", BODY, 2, 1)
    assert lost.failed == lost.requests > 5 and lost.rate == 0


def test_without_wrk_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not is_installed()
    with pytest.raises(SystemExit) as end:
        claim.main(few=True)
    assert end.value.code == 3
    assert capsys.readouterr().err == "claim: wrk is not installed; on Debian: apt-get install wrk\n"


def test_what_was_chosen_is_compared_with_each_other_side() -> None:
    """2,000 rows/s over 1,000 by `measure`; by wrk twice as many answers as the slowest, as many as the usual."""
    sides = {CHOSEN: Side("2", point(2000)), USUAL: Side("1", point(1000)), SLOWEST: Side("1", point(500))}
    rates = {CHOSEN: 100, USUAL: 100, SLOWEST: 50}
    found = {(name, count): [Answered(rate, 0, 1.0, 1.0, 2.0)] for name, rate in rates.items() for count in CONNECTIONS}
    told = {figure.what: figure.value for figure in claim._figures(sides, found)}
    assert told["chosen over usual, as measure says of batches"] == 2.0
    assert told["chosen over usual, wrk, requests of 1 row"] == 1.0
    assert told["chosen over slowest, wrk, requests of 512 rows"] == 2.0
    assert told["chosen: wrk, requests of 512"] == 51_200
    assert told["requests that failed"] == 0
