"""Services that actions are delivered to: the shipped one, as it is or with faults, and one that follows a script."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tasks.examples.refunds import Handler, Refunds, Server, start

Reply = tuple[int, dict[str, str], str] | None
"""Status, headers and text; None cuts the connection."""


@dataclass
class Service:
    """A service under way."""

    address: str
    requests: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    """Keys and bodies of all requests, in the order in which they came."""
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def _serving(server: Server) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running(database: Path) -> Iterator[Service]:
    """The shipped service."""
    with _serving(start(database, 0)) as address:
        yield Service(address)


@contextmanager
def scripted(reply: Callable[[int, dict[str, object]], Reply]) -> Iterator[Service]:
    """A service whose answers come from `reply`, which is told the number of the request, from 1, and its body."""
    lock = threading.Lock()

    class Scripted(Handler):
        def do_POST(self) -> None:  # noqa: N802 - the name is http.server's
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                service.requests.append((self.headers["Idempotency-Key"], body))
                service.headers.append(dict(self.headers))
                number = len(service.requests)
            _reply(self, reply(number, body))

    with _serving(Server(("127.0.0.1", 0), Scripted)) as address:
        service = Service(address)
        yield service


def _reply(handler: BaseHTTPRequestHandler, given: Reply) -> None:
    if given is None:
        handler.close_connection = True
        return
    status, headers, text = given
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(text.encode())


@contextmanager
def dripping(first: bytes, after: bytes) -> Iterator[str]:
    """The address of a service that answers `first`, and `after` each tenth of a second until it is left alone."""
    ended = threading.Event()

    class Dripping(Handler):
        def do_POST(self) -> None:  # noqa: N802 - the name is http.server's
            self.wfile.write(first)
            while not ended.wait(0.1):
                self.wfile.write(after)

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()

    with _serving(Server(("127.0.0.1", 0), Dripping)) as address:
        try:
            yield address
        finally:
            ended.set()


@contextmanager
def faulty(database: Path, seed: int, unavailable: float = 0.2, dropped: float = 0.2) -> Iterator[Service]:
    """The shipped service, which refuses a share of the requests with 503, and cuts some off after committing them."""
    chance = random.Random(seed)

    class Faulty(Handler):
        refunds = Refunds(database)

        def do_POST(self) -> None:  # noqa: N802 - the name is http.server's
            service.requests.append((self.headers["Idempotency-Key"], {}))
            drawn = chance.random()
            if drawn < unavailable:
                self._body()
                _reply(self, (503, {}, "busy"))
                return
            self.dropping = unavailable <= drawn < unavailable + dropped
            super().do_POST()

        def send_response(self, *args: object) -> None:
            if getattr(self, "dropping", False):
                # Committed already: nobody will hear of it.
                self.dropping = False
                raise ConnectionAbortedError
            super().send_response(*args)  # type: ignore[arg-type]

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    with _serving(Server(("127.0.0.1", 0), Faulty)) as address:
        service = Service(address)
        yield service
