"""A load on an HTTP server, made by a process of its own: as fast as the answers come, or at a fixed rate.

    python -m benchmarks.measuring.load SETTINGS      SETTINGS is `Load` as JSON; prints `Loaded` as JSON

At a fixed rate requests are due at fixed times, and what counts as latency begins when one is due: a server that
stalls is not spared the requests that it keeps waiting (Tene 2013, "coordinated omission").
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

PATIENCE_SECONDS = 30
WARM_UP_SECONDS = 0.5
RECEIVED = 1 << 16


@dataclass(frozen=True)
class Load:
    """What to ask for, how, and for how long."""

    port: int
    path: str
    body: str
    connections: int
    seconds: float
    rate: float | None = None
    """Requests per second over all connections; None for as many as are answered."""
    kept: bool = False
    """Whether the answers are returned as well."""


@dataclass(frozen=True)
class Loaded:
    """What came of it."""

    requests: int
    failed: int
    """Without an answer, or with a status that is not 200."""
    rate: float
    """Answers per second."""
    p50_ms: float
    p99_ms: float
    answers: list[str] = field(default_factory=list)


def put_load(load: Load) -> Loaded:
    """The load, put by another process."""
    return begin_load(load).result()


@dataclass(frozen=True)
class Running:
    """A load that is being put."""

    process: "subprocess.Popen[str]"

    def result(self) -> Loaded:
        """Waits for its end. Raises RuntimeError where the process failed."""
        said, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"the load ended with {self.process.returncode}")
        return Loaded(**json.loads(said))


def begin_load(load: Load) -> Running:
    """Begins to put the load beside whatever the caller does meanwhile."""
    words = [sys.executable, "-m", "benchmarks.measuring.load", "-"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdin:
        process.stdin.write(json.dumps(asdict(load)))
        process.stdin.close()
        process.stdin = None
    return Running(process)


class _Connection:
    """One connection: a request on its way, or none."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.got = b""

    def answered(self) -> tuple[int, bytes] | None:
        """Status and body, once they are whole."""
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return None
        lowered = head.lower()
        start = lowered.index(b"content-length:") + 15
        length = int(lowered[start : start + 12].split(b"\r\n")[0])
        return (int(head[9:12]), body) if len(body) >= length else None


def run(load: Load) -> Loaded:
    """Puts the load from this process."""
    body = load.body.encode()
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    request = head.encode() + b"\r\n\r\n" + body
    selector = selectors.DefaultSelector()
    idle: deque[_Connection] = deque()
    for _ in range(load.connections):
        connection = _Connection(load.port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        idle.append(connection)
    latencies: list[float] = []
    answers: list[str] = []
    failed = counted = busy = 0
    began = time.perf_counter()
    end, step = began + load.seconds, 1 / load.rate if load.rate else 0.0
    due = began
    while True:
        now = time.perf_counter()
        while idle and now < end and (not step or due <= now):
            connection = idle.popleft()
            connection.due, connection.got = (due if step else now), b""
            connection.socket.sendall(request)
            due, busy = due + step, busy + 1
        if now >= end and (not busy or now > end + PATIENCE_SECONDS):
            break
        wait = 0.05 if not step or not idle else max(0.0, min(due - now, 0.05))
        for key, _ in selector.select(wait):
            connection = key.data
            got = connection.socket.recv(RECEIVED)
            connection.got += got
            found = (0, b"") if not got else connection.answered()
            if found is None:
                continue
            now, busy = time.perf_counter(), busy - 1
            failed += found[0] != 200
            if got:
                idle.append(connection)
            else:
                selector.unregister(connection.socket)
            if load.kept:
                answers.append(found[1].decode())
            if connection.due >= began + WARM_UP_SECONDS:
                counted += 1
                latencies.append(now - connection.due)
    seconds = max(time.perf_counter() - began - WARM_UP_SECONDS, 1e-9)
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) * 1000 if latencies else (np.inf, np.inf)
    return Loaded(counted, failed + busy, counted / seconds, float(p50), float(p99), answers)


def main() -> None:
    """Reads what to do, and says what came of it."""
    given: dict[str, Any] = json.load(sys.stdin)
    print(json.dumps(asdict(run(Load(**given)))))


if __name__ == "__main__":
    main()
