"""Processes that `perennial up` has started, known by a mark in their environment: they, and what they have started.

The mark is inherited, so that no process is missed whose parent was killed, and no stranger is taken for one of them
who has got the number of a process that is gone. `python -m flows.marked HOME PID` ends those of a killed process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "PERENNIAL_UP"
PARTS = ("worker", "mlflow", "prefect")
"""In the order in which they end: a worker reports the end of its runs to both servers."""
GRACE_SECONDS = 20.0
"""What has not ended by then is killed."""
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Mark:
    """What a process is part of: which server or worker, of which `perennial up`, on which state folder."""

    part: str
    pid: int
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process is started with to bear the mark."""
        return {MARK: f"{self.part} {self.pid} {self.home}"}


def end_marked(home: Path, pid: int | None = None, grace: float = GRACE_SECONDS) -> int:
    """How many processes were ended: all of the state folder, or those that the process `pid` has started."""
    return sum(_end(part, home, pid, grace) for part in PARTS)


def _end(part: str, home: Path, pid: int | None, grace: float) -> int:
    """Asks those to end that nothing else of the part has started; what is left of them after a while is killed."""
    seen, asked, until = set[int](), set[int](), time.monotonic() + grace
    while found := marked(part, home, pid):
        seen |= {process.pid for process in found}
        late = time.monotonic() > until
        for process in found if late else _first(part, found, patient=time.monotonic() < until - grace / 2):
            if late or process.pid not in asked:
                asked.add(process.pid)
                _send(process, psutil.Process.kill if late else psutil.Process.terminate)
        time.sleep(PAUSE_SECONDS)
    return len(seen)


def _first(part: str, found: list[psutil.Process], patient: bool) -> list[psutil.Process]:
    """Who has to be asked now: a worker after its runs, which it would kill before they have told of it."""
    heads = _heads(found)
    return (_children(heads, found) if part == "worker" and patient else []) or heads


def _heads(found: list[psutil.Process]) -> list[psutil.Process]:
    """Those that none of the others has started."""
    numbers = {process.pid for process in found}
    return [process for process in found if _parent(process) not in numbers]


def _children(heads: list[psutil.Process], found: list[psutil.Process]) -> list[psutil.Process]:
    numbers = {process.pid for process in heads}
    return [process for process in found if _parent(process) in numbers]


def marked(part: str, home: Path, pid: int | None = None) -> list[psutil.Process]:
    """Living processes that bear the mark, and all that these have started, should one hide its environment."""
    found = {process.pid: process for process in _bearers(part, home, pid)}
    for process in list(found.values()):
        try:
            found |= {child.pid: child for child in process.children(recursive=True)}
        except psutil.Error:
            continue
    return [process for process in found.values() if _lives(process)]


def _bearers(part: str, home: Path, pid: int | None) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            seen = process.environ().get(MARK, "").split(" ", 2)
        except (psutil.Error, OSError):
            continue
        if seen[:1] == [part] and seen[2:] == [str(home)] and seen[1] == str(pid or seen[1]):
            yield process


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _parent(process: psutil.Process) -> int | None:
    try:
        parent: int = process.ppid()
    except psutil.Error:
        return None
    return parent


def _send(process: psutil.Process, what: Callable[[psutil.Process], None]) -> None:
    with suppress(psutil.Error):
        what(process)


def start_watchdog(home: Path) -> "subprocess.Popen[bytes]":
    """A process that ends what this one has started, should this one be killed; it ends with this one."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.marked", str(home), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_marked(Path(sys.argv[1]), int(sys.argv[2]))
