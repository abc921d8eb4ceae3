"""A server of one or more worker processes: started, fed with new versions, restarted, ended."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

from models.contract import read_contract
from models.errors import InputError, OutsideError
from tasks.aside import folder_aside
from tasks.serving.beside.courier import Courier
from tasks.serving.beside.earlier import endpoints_folder
from tasks.serving.beside.withheld import check_logging
from tasks.serving.limits import Limits
from tasks.serving.sources import Source, as_words, contracts_of, find_sources, forget_others, moved
from tasks.serving.wanted import Wanted, write_wanted
from tasks.serving.worker_settings import READY, Logging, Settings

LOG = logging.getLogger("perennial.serve")
START_SECONDS, CHECK_SECONDS, LOOK_SECONDS, GRACE_SECONDS = 120, 120, 0.2, 5
MOST_RESTARTS = 5
"""Of each worker within a minute: more have a cause that does not pass."""
BACKLOG = 2048


@dataclass(frozen=True)
class Serving:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    batch_rows: int = 1024
    batch_wait: float = 0.0
    """Seconds that the first request of a batch waits for others."""
    poll: float = 2.0
    """Seconds between looks at the registry."""
    limits: Limits = field(default_factory=Limits)
    log: Logging | None = None
    """What is logged of requests."""
    actions: Path | None = None
    """The folder of what live decisions lead to; None where they lead to nothing."""
    endpoints: Path | None = None
    """The folder in which counts of endpoints are kept over a restart; None where they end with the server."""
    redeliver: bool = False
    """Whether dead letters of earlier decisions are sent again."""


@dataclass(frozen=True)
class Ready:
    """What answers once all is ready."""

    address: str
    models: dict[str, str]
    """The version of each name."""
    seconds: float

    def lines(self) -> list[str]:
        """For people."""
        each = [
            f"  {name} version {version}: {self.address}/models/{quote(name, safe='@')}/predict"
            for name, version in self.models.items()
        ]
        return [f"ready after {self.seconds:.1f} s; try it at {self.address}/ (Ctrl-C ends it)", *each]


def run_server(places: Sequence[str], how: Serving, asked_to_end: Event, tell: Callable[[Ready], None]) -> None:
    """Serves until `asked_to_end`; `tell` is called once all workers answer.

    Raises InputError where a port is taken or a model does not exist, OutsideError where workers keep ending.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        scratch = stack.enter_context(folder_aside(Path(tempfile.gettempdir()), "perennial-serve"))
        listener = stack.enter_context(_listen(how))
        courier = Courier(how.actions, how.redeliver)
        # Ends after the workers, since it delivers what they leave.
        stack.callback(courier.end)
        endpoints = stack.enter_context(endpoints_folder(how.endpoints, scratch / "endpoints"))
        workers = Workers(how, listener, scratch, endpoints)
        stack.callback(workers.end)
        # They load what they need while the versions are looked up.
        workers.start()
        sources = find_sources(places, scratch / "versions")
        contracts = contracts_of(sources)
        check_logging(contracts, how.log)
        courier.begin(contracts)
        _want(sources, workers.wanted)
        if not workers.wait(asked_to_end):
            return
        host = f"[{how.host}]" if ":" in how.host else how.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        tell(Ready(address, _versions(sources), time.monotonic() - began))
        # Beside the loop: a registry that is away keeps a look waiting for minutes.
        looks = partial(_follow, sources, how, courier, asked_to_end, scratch / "versions", workers.wanted)
        Thread(target=looks, daemon=True).start()
        while not asked_to_end.wait(LOOK_SECONDS):
            workers.restart()
            courier.look()


def _follow(
    sources: Sequence[Source], how: Serving, courier: Courier, asked_to_end: Event, scratch: Path, wanted: Path
) -> None:
    """Looks for new versions until the end. What the disk refuses is tried again with the next look."""
    while not asked_to_end.wait(how.poll):
        try:
            # What is replaced now stays until the next look: a worker may be about to load it.
            forget_others(sources, scratch)
            changed = [source for source in sources if _takes(source, moved(source, scratch), courier)]
            if changed:
                _want(sources, wanted)
        except OSError as error:
            LOG.error("no new version is taken now: %s", error)


def _takes(source: Source, found: Wanted | None, courier: Courier) -> bool:
    """Whether another version is to answer from now on; it has answered in a process of its own before."""
    if found is None:
        return False
    command = [sys.executable, "-m", "tasks.serving.worker", "check", as_words(found)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS)
        problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it ended the process"])[-1]
    except subprocess.TimeoutExpired:
        problem = f"no answer within {CHECK_SECONDS} s"
    problem = problem or courier.refusal_of(read_contract(Path(found.folder)))
    if problem and source.wanted:
        LOG.error(
            "%s version %s is not taken, %s goes on: %s", source.name, found.version, source.wanted.version, problem
        )
        source.refuse()
        return False
    source.wanted = found
    return True


def _want(sources: Sequence[Source], path: Path) -> None:
    write_wanted(path, {source.name: source.wanted for source in sources if source.wanted})


def _versions(sources: Sequence[Source]) -> dict[str, str]:
    return {source.name: source.wanted.version for source in sources if source.wanted}


def _listen(how: Serving) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in how.host else socket.AF_INET
        return socket.create_server((how.host, how.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(f"--host {how.host} --port {how.port}: {error.strerror}; give another one") from None


class Workers:
    """The worker processes of one server."""

    def __init__(self, how: Serving, listener: socket.socket, scratch: Path, endpoints: Path) -> None:
        """`endpoints` is the folder that they share what they know of endpoints in."""
        self.wanted = scratch / "wanted.json"
        self._how, self._listener, self._metrics = how, listener, scratch / "metrics"
        self._metrics.mkdir()
        self._endpoints = endpoints
        endpoints.mkdir(parents=True, exist_ok=True)
        self._processes: list[subprocess.Popen[str]] = []
        self._restarts: list[float] = []

    def start(self) -> None:
        """All of them."""
        self._processes = [self._begin() for _ in range(self._how.workers)]

    def _begin(self) -> "subprocess.Popen[str]":
        descriptor = self._listener.fileno()
        how = self._how
        settings = Settings(
            descriptor, os.getpid(), str(self.wanted), str(self._metrics), str(self._endpoints), how.batch_rows,
            how.batch_wait, how.limits, how.log, None if how.actions is None else str(how.actions),
        )  # fmt: skip
        command = [sys.executable, "-m", "tasks.serving.worker", settings.as_json()]
        return subprocess.Popen(command, pass_fds=[descriptor], stdout=subprocess.PIPE, text=True)

    def wait(self, asked_to_end: Event) -> bool:
        """Whether all answer; not where they have to end before. Raises InputError where a version can't be loaded."""
        until = time.monotonic() + START_SECONDS
        for process in self._processes:
            while not _has_said(process):
                if asked_to_end.is_set():
                    return False
                if process.poll() is not None:
                    raise InputError("the model could not be loaded; the line above says why")
                if time.monotonic() > until:
                    raise OutsideError(
                        f"a worker was not ready within {START_SECONDS} s; try again on a less busy machine"
                    )
        return True

    def restart(self) -> None:
        """Starts those anew that have ended. Raises OutsideError where that happens again and again."""
        for position, process in enumerate(self._processes):
            if process.poll() is None:
                continue
            now = time.monotonic()
            self._restarts = [*(then for then in self._restarts if now - then < 60), now]
            if len(self._restarts) > MOST_RESTARTS * self._how.workers:
                raise OutsideError(
                    f"workers ended {len(self._restarts)} times within a minute; the lines above say why"
                )
            LOG.error("a worker ended with %s and is started anew", process.returncode)
            # What it had in progress counts no longer.
            for gauge in self._metrics.glob(f"gauge_live*_{process.pid}.db"):
                gauge.unlink()
            self._processes[position] = self._begin()

    def end(self) -> None:
        """Asks all to end, and waits until requests in progress are answered."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        # Whoever comes now is refused at once, rather than left waiting.
        self._listener.close()
        until = time.monotonic() + self._how.limits.seconds + GRACE_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
            if process.stdout:
                process.stdout.close()


def _has_said(process: "subprocess.Popen[str]") -> bool:
    """Whether the worker has said that it is ready, which it may do within a moment."""
    if process.stdout is None:
        return False
    readable, _, _ = select.select([process.stdout], [], [], 0.05)
    return bool(readable) and process.stdout.readline().strip() == READY
