"""What a server makes of requests that mean harm: no answer may blame the server, and its memory stays bounded.

    make bench NAME=hostile
    .venv/bin/python -m benchmarks.hostile --seconds 30      # a quick look, not an official result

Schemathesis makes requests from the OpenAPI document, right and wrong ones, for ten minutes. Beside it come, again and
again: bodies that are cut off, deep JSON, packed bodies that grow a thousandfold, NaN, fields and heads of a gigabyte.
"""

import json
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import psutil
import pyarrow.parquet as pq
import typer

from benchmarks.measuring.light import export_light
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.serving import serving
from benchmarks.measuring.tables import TARGET, write_table

SECONDS, ROWS = 600, 2000
PATH, INFER = b"/models/light/predict", b"/v2/models/light/infer"
PATIENCE, PAUSE = 30, 0.5
CHUNK = b"a" * (1 << 16)
GIGABYTE = 1 << 30
WITHIN_MB = 500
"""More than at rest: a body of 16 MiB is 300 MB once it is parsed into millions of empty rows."""
NOT_THE_SERVERS = "positive_data_acceptance"
"""The check that all that the document allows succeeds; it can't say that there is a tensor for each column."""
ST = Path(sys.executable).with_name("st")


def main(seconds: Annotated[int, typer.Option(help="Of the requests.")] = SECONDS) -> None:
    """Attacks a server from all sides."""
    with temporary_home() as home:
        rows = pq.read_table(write_table(home / "rows.parquet", ROWS, seed=0))
        export_light(rows, home / "light")
        body = json.dumps({"rows": rows.drop_columns(["key", TARGET]).slice(0, 2).to_pylist()}).encode()
        with serving(home, str(home / "light")) as server:
            [worker] = [p for p in psutil.process_iter() if _is_worker(p, server.pid)]
            found = _attack(server.port, worker, body, seconds, home)
    sys.exit(report("hostile", f"{seconds} s of hostile requests", found, official=seconds >= SECONDS))


def _is_worker(process: psutil.Process, parent: int) -> bool:
    try:
        return process.ppid() == parent and "tasks.serving.worker" in process.cmdline()
    except psutil.Error:
        return False


def _attack(port: int, worker: psutil.Process, body: bytes, seconds: int, scratch: Path) -> list[Figure]:
    rest, highest, statuses = worker.memory_info().rss, 0, Counter[str]()
    told = scratch / "schemathesis.json"
    command = [
        str(ST), "run", f"http://127.0.0.1:{port}/openapi.json", "--max-time", str(seconds), "--continue-on-failure",
        "--exclude-checks", NOT_THE_SERVERS, "--no-color", "--report", "json", "--report-json-path", str(told),
    ]  # fmt: skip
    over = threading.Event()

    def by_hand() -> None:
        while not over.is_set():
            for name, attack in ATTACKS.items():
                statuses[f"{name}: {_status(port, attack, body)}"] += 1
            over.wait(PAUSE)

    attacking = threading.Thread(target=by_hand)
    attacking.start()
    with (scratch / "schemathesis.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=scratch)
        while process.poll() is None:
            highest = max(highest, worker.memory_info().rss)
            time.sleep(0.05)
    over.set()
    attacking.join()
    cases = json.loads(told.read_text())["test_cases"]
    for name, count in sorted(statuses.items()):
        print(f"{count:>6} {name}")
    print((scratch / "schemathesis.log").read_text()[-2000:] if cases["with_failures"] else "")
    blamed = sum(count for name, count in statuses.items() if name.rpartition(": ")[2].startswith("5"))
    alive = _status(port, lambda connection, asked: connection.sendall(_head(len(asked)) + asked), body)
    return [
        Figure("requests by schemathesis", cases["generated"], "requests", "higher"),
        Figure("of them, 5xx or other than the document says", cases["with_failures"], "answers", "lower", 0, 0),
        Figure("attacks by hand", sum(statuses.values()), "attacks", "higher"),
        Figure("of them, answers with 5xx", blamed, "answers", "lower", 0, 0),
        Figure("memory at rest", rest / 1e6, "MB", "lower"),
        Figure("most memory, more than at rest", (highest - rest) / 1e6, "MB", "lower", WITHIN_MB),
        Figure("a plain request afterwards is answered", float(alive == "200"), "", "higher", 1, 1),
    ]  # fmt: skip


Attack = Callable[[socket.socket, bytes], None]


def _status(port: int, attack: Attack, body: bytes) -> str:
    """The status of the answer; "closed" where the connection ends without one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            try:
                attack(connection, body)
            except OSError:
                return "closed"
            return connection.recv(1 << 16)[9:12].decode() or "closed"
    except OSError:
        return "closed"


def _head(length: int, more: bytes = b"", path: bytes = PATH) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n" % (path, length, more)


def _sent(content: bytes, more: bytes = b"", path: bytes = PATH) -> Attack:
    return lambda connection, _: connection.sendall(_head(len(content), more, path) + content)


def _cut(connection: socket.socket, body: bytes) -> None:
    connection.sendall(_head(len(body)) + body[: len(body) // 2])
    connection.shutdown(socket.SHUT_WR)


def _flood(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    for _ in range(GIGABYTE // len(CHUNK)):
        connection.sendall(CHUNK)


def _chunks(connection: socket.socket, body: bytes) -> None:
    connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PATH)
    for _ in range(GIGABYTE // len(CHUNK)):
        connection.sendall(b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK))


def _nan(connection: socket.socket, body: bytes) -> None:
    wrong = body.replace(b": -", b": NaN,  ", 1)
    connection.sendall(_head(len(wrong)) + wrong)


ATTACKS: dict[str, Attack] = {
    "body cut off": _cut,
    "deep JSON": _sent(b'{"rows":' + b"[" * 1_000_000),
    "deep JSON that closes": _sent(b'{"rows":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "packed gigabyte": _sent(zlib.compress(bytes(GIGABYTE // 4), 9), b"Content-Encoding: deflate\r\n"),
    "NaN": _nan,
    "noise": _sent(bytes(range(256)) * 4000),
    "many small rows": _sent(b'{"rows":[' + b"{}," * 3_000_000 + b"{}]}"),
    "many unknown columns": _sent(b'{"rows":[{' + b",".join(b'"k%d":1' % i for i in range(500_000)) + b"}]}"),
    "name that comes twice": _sent(b'{"rows":1,"e":[],"rows":[' + b"{}," * 100_000 + b"{}]}"),
    "rows beyond all numbers": _sent(
        b'{"inputs":[{"name":"a","shape":[18446744073709551615],"datatype":"FP32","data":[]}]}', path=INFER
    ),
    "form that can't be decoded": _sent(
        b'--b\r\nContent-Disposition: form-data; name="number 0"\r\n\r\n\xff\r\n--b--\r\n',
        b"Content-Type: multipart/form-data; boundary=b; charset=undefined\r\n",
    ),
    "field of a gigabyte": lambda connection, _: _flood(connection, _head(GIGABYTE) + b'{"rows":[{"number 0":"'),
    "head of a gigabyte": lambda connection, _: _flood(connection, b"POST /models/light/predict HTTP/1.1\r\nX: "),
    "line of a gigabyte": lambda connection, _: _flood(connection, b"GET /"),
    "chunks of a gigabyte": _chunks,
    "no HTTP": lambda connection, _: connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00" * 100),
}


if __name__ == "__main__":
    typer.run(main)
