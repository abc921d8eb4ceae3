"""A server as people start it, and what it lives through."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Copy
from tests.small import ROOT, table
from tests.tasks.serving.versions import write_classifier, write_version

pytestmark = pytest.mark.slow
PATIENCE = 60


@dataclass(frozen=True)
class Running:
    """A server."""

    process: "subprocess.Popen[str]"
    address: str

    @property
    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        alive = [one for one in children if one.status() != psutil.STATUS_ZOMBIE]
        return [one for one in alive if "tasks.serving.worker" in one.cmdline()]

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and answer."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, content, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, _read(answer)
        except urllib.error.HTTPError as error:
            return error.code, _read(error)


def _read(answer: Any) -> Any:
    said = answer.read().decode()
    return json.loads(said) if "json" in answer.headers["content-type"] else said


def _all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    pieces = list(iter(lambda: connection.recv(4096), b""))
    return b"".join(pieces)


@contextmanager
def serve(*words: str, **environment: str) -> Iterator[Running]:
    command = [sys.executable, "-c", "from perennial import main; main()", "serve", *words, "--port", "0", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "infra")]), **environment},
    )  # fmt: skip
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield Running(process, json.loads(line)["address"])
    finally:
        process.kill()
        process.communicate()


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_a_server_lives_through_killed_workers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_version(tmp_path / "a")
    write_classifier(tmp_path / "b")
    row = {"rows": [{"load": 4, "shop": None}]}
    with serve(str(tmp_path / "a"), str(tmp_path / "b"), "--workers", "2") as server:
        first = server.workers
        assert len(first) == 2
        for _ in range(10):
            assert server.ask("/models/by-hand/predict", row)[1]["predictions"] == [{"value": 4}]
        assert server.ask("/models/by-hand/predict", {"rows": [{"load": 99, "shop": 1}]})[0] == 422
        counts = dict(line.rsplit(" ", 1) for line in server.ask("/metrics")[1].splitlines() if line[0] != "#")
        label = 'model="by-hand",version="local"'
        assert float(counts[f"perennial_rows_total{{{label}}}"]) == 10
        assert float(counts[f"perennial_rejected_rows_total{{{label}}}"]) == 1
        assert float(counts['perennial_requests_total{model="by-hand",status="422",version="local"}']) == 1
        first[0].kill()
        wait(lambda: len(server.workers) == 2 and first[0] not in server.workers)
        assert server.ask("/models/sorted/predict", {"rows": [{"load": 1}]})[1]["predictions"][0]["label"] == "high"
        workers = server.workers
        server.process.kill()
        gone, _ = psutil.wait_procs(workers, PATIENCE)
        assert len(gone) == 2


def test_a_request_in_progress_is_answered_before_the_end(tmp_path: Path) -> None:
    write_version(tmp_path / "a")
    with serve(str(tmp_path / "a")) as server:
        body = json.dumps({"rows": [{"load": 4, "shop": None}]}).encode()
        head = f"POST /models/by-hand/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=PATIENCE) as begun:
            begun.sendall(head + body[:10])
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            begun.sendall(body[10:])
            assert b'{"value":4.0}' in _all_of(begun)
        assert server.process.wait(PATIENCE) == 0


def test_heads_and_bodies_without_end_are_cut_off(tmp_path: Path) -> None:
    write_version(tmp_path / "a")
    with serve(str(tmp_path / "a"), "--max-body-mb", "1") as server:
        port = int(server.address.rpartition(":")[2])
        [worker] = server.workers
        before = worker.memory_info().rss
        place = b"POST /models/by-hand/predict HTTP/1.1\r\nHost: x\r\n"
        for head in (b"GET / HTTP/1.1\r\nX: ", place + b"Content-Length: 1073741824\r\n\r\n"):
            sent = 0
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as flood, pytest.raises(OSError):
                flood.sendall(head)
                while sent < 1 << 30:
                    flood.sendall(b"a" * (1 << 16))
                    sent += 1 << 16
            assert sent < 1 << 26
        assert worker.memory_info().rss - before < 100 << 20
        assert server.ask("/models/by-hand/predict", {"rows": [{"load": 4, "shop": None}]})[0] == 200


def test_who_does_not_go_on_is_let_go(tmp_path: Path) -> None:
    write_version(tmp_path / "a")
    with serve(str(tmp_path / "a"), "--timeout", "1") as server:
        port = int(server.address.rpartition(":")[2])
        form = b"POST /models/by-hand/predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        chunks = (
            b"POST /models/by-hand/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        )
        waiting = [b"", b"GET / HT", *[form + b"Content-Length: 16777216\r\n\r\n"] * 9]
        open_ones = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in waiting]
        for connection, head in zip(open_ones, waiting, strict=True):
            connection.sendall(head)
        assert server.ask("/models/by-hand/predict", {"rows": [{"load": 4, "shop": None}]})[0] == 200
        said = [_all_of(connection) for connection in open_ones]
        assert said[:2] == [b"", b""] and {answer[9:12] for answer in said[2:]} == {b"408"}
        [worker] = server.workers
        before = worker.memory_info().rss
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as trailing, pytest.raises(OSError):
            trailing.sendall(chunks)
            for _ in range(1 << 12):
                trailing.sendall(b"X: " + b"a" * (1 << 14) + b"\r\n")
        assert worker.memory_info().rss - before < 20 << 20
        for connection in open_ones:
            connection.close()


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_who_does_not_read_the_answers_is_let_go(tmp_path: Path, head: bytes) -> None:
    write_version(tmp_path / "a")
    with serve(str(tmp_path / "a"), "--timeout", "1", "--max-requests", "2") as server:
        port = int(server.address.rpartition(":")[2])
        deaf = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(2)]
        for connection in deaf:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                while connection.send(1000 * head):
                    pass
        wait(lambda: server.ask("/v2")[0] == 200)
        [worker] = server.workers
        wait(lambda: not [one for one in worker.net_connections() if one.raddr and one.status == "ESTABLISHED"])
        for connection in deaf:
            connection.close()


def test_more_requests_than_are_allowed_come_again(tmp_path: Path) -> None:
    write_version(tmp_path / "a")
    with serve(str(tmp_path / "a"), "--max-requests", "1", PERENNIAL_SERVE_TOKEN="t") as server:
        bearing = {"Authorization": "Bearer t"}
        assert server.ask("/v2")[0] == 401 and server.ask("/v2", **bearing)[0] == 200
        head = (
            b"POST /models/by-hand/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 9\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as begun:
            begun.sendall(head)
            wait(lambda: server.ask("/v2", **bearing)[0] == 429)
            assert server.ask("/v2/health/ready")[0] == 200
        wait(lambda: server.ask("/v2", **bearing)[0] == 200)


@pytest.mark.parametrize(
    "words, said",
    [
        (["no-such-model"], "no-such-model: no such model"),
        (["{tmp}/a", "{tmp}/a"], "by-hand: is to be served twice"),
        (["{tmp}/changed"], "SHA-256"),
        (["{tmp}"], "no contract beside the graph"),
    ],
)
def test_what_can_not_be_served_is_one_line(tmp_path: Path, small: Any, words: list[str], said: str) -> None:
    write_version(tmp_path / "a")
    write_version(tmp_path / "changed")
    (tmp_path / "changed" / "model.onnx").write_bytes(b"another")
    command = [sys.executable, "-c", "from perennial import main; main()", "serve", "--port", "0"]
    command += [word.format(tmp=tmp_path) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_new_champion_is_taken_and_a_bad_one_is_not(copy: Copy, tmp_path: Path, home: Path) -> None:
    """All the time there are requests: each gets an answer, of the version that it names."""
    from tasks.registry.connection import connect
    from tasks.registry.versions import SHA256, find_version

    for _ in range(3):
        copy("lively")
    client = connect()
    client.set_registered_model_alias("lively", "champion", "1")
    client.set_model_version_tag("lively", "3", SHA256, "0" * 64)
    rows = table(3, seed=9).drop(columns=["broken", "id"]).astype(object)
    body = {"rows": [{k: None if v != v else v for k, v in row.items()} for row in rows.to_dict("records")]}
    found: list[tuple[int, Any]] = []
    stop = threading.Event()
    with serve("lively", "--poll-seconds", "0.3") as server:

        def ask() -> None:
            while not stop.is_set():
                found.append(server.ask("/models/lively/predict", body))

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()

        def version() -> Any:
            return server.ask("/v2/models/lively")[1]["versions"]

        try:
            assert version() == ["1"]
            client.set_registered_model_alias("lively", "champion", "2")
            wait(lambda: version() == ["2"])
            client.set_registered_model_alias("lively", "champion", "3")
            time.sleep(4)
            assert version() == ["2"]
            client.set_registered_model_alias("lively", "champion", "1")
            wait(lambda: version() == ["1"])
        finally:
            stop.set()
            for thread in asking:
                thread.join()
    assert {status for status, _ in found} == {200}
    assert {answer["version"] for _, answer in found} == {"1", "2"}
    assert find_version("lively", "2").number == "2"
