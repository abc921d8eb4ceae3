"""A Prefect server, an MLflow server and a worker on this machine, until they are told to end."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event

from flows.health import answers, worker_reports
from flows.marked import end_marked, start_watchdog
from flows.parts import Parts
from flows.ports import listener_on, port_of
from flows.servers import POOL, Servers, alone
from models.cores import usable_cores
from models.errors import InputError
from tasks.addresses import without_credentials

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
FEWEST_AT_ONCE = 4
"""Runs that the worker carries out at once where there are fewer cores: some wait more than they work."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MEANWHILE = "leave it out, or start a worker alone: prefect worker start --pool " + POOL


@dataclass(frozen=True)
class Up:
    """What runs once all is healthy, and how long that took."""

    pid: int
    prefect: str
    mlflow: str
    pool: str
    seconds: float

    def lines(self) -> list[str]:
        """The addresses, and what to do with them."""
        return [
            f"all healthy after {self.seconds:.1f} s; commands in other terminals use them",
            f"  Prefect  {self.prefect}",
            f"  MLflow   {self.mlflow}",
            f"  worker   of the pool {self.pool!r}",
            "next, in another terminal: perennial deploy FILE   (Ctrl-C here ends all)",
        ]


@dataclass(frozen=True)
class Ports:
    """Where to listen; None takes the usual port, or the next one that is free."""

    prefect: int | None = None
    mlflow: int | None = None


def run_up(home: Path, ports: Ports, say: Callable[[str], None], tell: Callable[[Up], None]) -> None:
    """Starts all, calls `tell` once they are healthy, follows their logs, and ends all when asked by a signal.

    `say` takes lines for people. Raises InputError when a port is taken, OutsideError when one of them ends by itself.
    """
    began = time.monotonic()
    starting = Servers(os.getpid())
    with asked_to_end() as asked, alone(home, starting) as announce, ExitStack() as stack:
        _require_own_servers()
        left = end_marked(home)
        if left:
            say(f"ended {left} processes that a killed `perennial up` had left")
        listeners = [stack.enter_context(listener) for listener in _listeners(ports, say)]
        servers = Servers(starting.pid, *(f"http://127.0.0.1:{port_of(listener)}" for listener in listeners))
        stack.enter_context(start_watchdog(home))
        parts = Parts(home, say, asked)
        stack.callback(_end, parts, say)
        if _start(parts, servers, listeners):
            announce(servers)
            tell(Up(servers.pid, str(servers.prefect), str(servers.mlflow), POOL, time.monotonic() - began))
            parts.follow()


def _start(parts: Parts, servers: Servers, listeners: Sequence[socket.socket]) -> bool:
    """Whether all are healthy; not where they have to end before."""
    prefect, mlflow = listeners
    descriptor, port = prefect.fileno(), port_of(mlflow)
    # Prefect listens already; MLflow has to open its port itself.
    mlflow.close()
    parts.start("prefect", ["flows.serve_prefect", str(descriptor)], _server_settings(servers), [descriptor])
    prefect.close()
    parts.start("mlflow", ["flows.serve_mlflow", str(port)], {})
    ready = {
        "prefect": partial(answers, f"{servers.prefect}/api/health"),
        "mlflow": partial(answers, f"{servers.mlflow}/health"),
    }
    if not parts.wait_for(ready):
        return False
    name, since = f"up on {socket.gethostname()}", datetime.now(UTC)
    words = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name]
    parts.start("worker", [*words, "--limit", str(runs_at_once()), "--install-policy", "never"], servers.settings)
    return parts.wait_for({"worker": partial(worker_reports, f"{servers.prefect}/api", name, since)})


def runs_at_once() -> int:
    """How many the worker carries out at once, each in a process of its own: dozens are due after an outage."""
    return max(FEWEST_AT_ONCE, usable_cores())


def _server_settings(servers: Servers) -> dict[str, str]:
    """What the Prefect server has to know for its pages: where it is. They load nothing from elsewhere."""
    return {
        "PREFECT_API_URL": f"{servers.prefect}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }


def _end(parts: Parts, say: Callable[[str], None]) -> None:
    say("stopping; a run of the worker has some seconds to report its end")
    parts.end()
    say("all stopped")


@contextmanager
def asked_to_end() -> Iterator[Event]:
    """An event that an interrupt, a request to end or the end of the terminal sets, instead of ending this process."""
    asked = Event()
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listeners(ports: Ports, say: Callable[[str], None]) -> list[socket.socket]:
    """Listening sockets for Prefect and MLflow."""
    if ports.prefect is not None and ports.prefect == ports.mlflow:
        raise InputError(f"--prefect-port and --mlflow-port: both are {ports.prefect}; give two")
    prefect = listener_on(ports.prefect, PREFECT_PORT, "--prefect-port")
    try:
        mlflow = listener_on(ports.mlflow, MLFLOW_PORT, "--mlflow-port")
    except Exception:
        prefect.close()
        raise
    for name, listener, usual in (("Prefect", prefect, PREFECT_PORT), ("MLflow", mlflow, MLFLOW_PORT)):
        if port_of(listener) not in (usual, ports.prefect, ports.mlflow):
            say(f"port {usual} is in use; {name} takes {port_of(listener)}")
    return [prefect, mlflow]


def _require_own_servers() -> None:
    """Passes unless the environment names servers already. Raises InputError."""
    named = {"PREFECT_API_URL": "http", "MLFLOW_TRACKING_URI": "http"}
    found = [key for key, start in named.items() if os.environ.get(key, "").startswith(start)]
    if found:
        given = " and ".join(f"{key} ({without_credentials(os.environ[key])})" for key in found)
        raise InputError(f"{given}: names a server already, and `perennial up` starts its own; {MEANWHILE}")
