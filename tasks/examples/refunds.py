"""A small service of another team, which pays refunds: `python -m tasks.examples.refunds --port 8181 --db refunds.db`.

Whoever asks twice under one key gets one refund. POST /refunds opens one and needs the header Idempotency-Key,
GET /refunds lists them, GET /health says that the service is there.
"""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT = 8181
LONGEST_BODY = 1 << 20
"""Bytes of a request."""
LONGEST_KEY = 200
PATIENCE = 30.0
"""Seconds to wait for the database while others write."""
TABLE = """
CREATE TABLE IF NOT EXISTS refunds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency_key TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    opened_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""


class ConflictError(Exception):
    """The key was used for another request."""


class Refunds:
    """The refunds of one database; threads and processes may share it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(TABLE)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is on the disk after the block."""
        with closing(sqlite3.connect(self._database, timeout=PATIENCE)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            with connection:
                yield connection

    def open(self, key: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """The refund of that key, and whether it was opened now. Raises ConflictError when the key has another one."""
        text = json.dumps(request, sort_keys=True)
        with self._connection() as connection:
            insert = "INSERT INTO refunds (idempotency_key, request) VALUES (?, ?) ON CONFLICT DO NOTHING"
            opened = connection.execute(insert, (key, text)).rowcount == 1
            query = "SELECT id, idempotency_key, request, opened_at FROM refunds WHERE idempotency_key = ?"
            found = connection.execute(query, (key,)).fetchone()
        if found[2] != text:
            raise ConflictError
        return _as_dict(found), opened

    def list(self) -> "list[dict[str, Any]]":
        """All refunds, the oldest first."""
        with self._connection() as connection:
            query = "SELECT id, idempotency_key, request, opened_at FROM refunds ORDER BY id"
            return [_as_dict(found) for found in connection.execute(query)]


def _as_dict(found: tuple[Any, ...]) -> dict[str, Any]:
    number, key, request, opened_at = found
    return {"id": number, "idempotency_key": key, "opened_at": opened_at, "request": json.loads(request)}


class Handler(BaseHTTPRequestHandler):
    """Answers one connection, on which several requests may come."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    refunds: Refunds

    def do_GET(self) -> None:
        """Lists the refunds, or says that the service is there."""
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif self.path == "/refunds":
            self._answer(HTTPStatus.OK, {"refunds": self.refunds.list()})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there are /refunds and /health")

    def do_POST(self) -> None:
        """Opens a refund: 201 when it is new, 200 when it was there already."""
        body = self._body()
        key = self.headers.get("Idempotency-Key", "")
        if body is None:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {LONGEST_BODY} bytes, and their number")
        elif self.path != "/refunds":
            self._refuse(HTTPStatus.NOT_FOUND, "refunds are opened at /refunds")
        elif not 0 < len(key) <= LONGEST_KEY:
            self._refuse(HTTPStatus.BAD_REQUEST, f"give an Idempotency-Key of at most {LONGEST_KEY} characters")
        else:
            self._open(key, body)

    def _open(self, key: str, body: bytes) -> None:
        try:
            refund, opened = self.refunds.open(key, dict(json.loads(body)))
        except (TypeError, ValueError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST, "the body is no JSON object")
        except ConflictError:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, "the key was used for another refund")
        except sqlite3.Error as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the database is busy ({error}); ask again")
        else:
            self._answer(HTTPStatus.CREATED if opened else HTTPStatus.OK, refund)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        return self.rfile.read(int(length)) if length.isdecimal() and int(length) <= LONGEST_BODY else None

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._answer(status, {"error": reason})

    def _answer(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Says nothing: the refunds are the record."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once, and ends although some are open."""

    daemon_threads = True
    request_queue_size = 128


def start(database: Path, port: int) -> Server:
    """A server on this machine alone, ready to serve; port 0 takes any that is free."""
    handler = type("RefundHandler", (Handler,), {"refunds": Refunds(database)})
    return Server(("127.0.0.1", port), handler)


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.examples.refunds", description="A service that pays refunds."
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on, by default {PORT}")
    parser.add_argument("--db", type=Path, default=Path("refunds.db"), help="SQLite file, by default refunds.db")
    given = parser.parse_args()
    try:
        server = start(given.db, given.port)
    except OSError as error:
        sys.exit(f"port {given.port}: {error.strerror}; choose another with --port")
    with server, suppress(KeyboardInterrupt):
        print(f"refunds on http://127.0.0.1:{server.server_port}/refunds, kept in {given.db}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
