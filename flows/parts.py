"""What `perennial up` consists of: processes that are started, watched and ended together."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from flows.environment import on_screen
from flows.logs import Followed, open_log
from flows.marked import Mark, end_marked
from models.errors import OutsideError

LOGS = "logs"
TITLES = {"prefect": "the Prefect server", "mlflow": "the MLflow server", "worker": "the worker"}
PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 180
"""A first start makes both databases."""
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Part:
    """A process and what it has to say."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    followed: Followed


class Parts:
    """Processes of one state folder. `say` takes each line of their logs, `asked` is set when they have to end."""

    def __init__(self, home: Path, say: Callable[[str], None], asked: Event) -> None:
        self._home, self._say, self._asked = home, say, asked
        self._parts: list[Part] = []

    def start(
        self, name: str, words: Sequence[str], settings: Mapping[str, str], descriptors: Sequence[int] = ()
    ) -> None:
        """Starts Python with these words. It reads from a pipe that ends with this process."""
        mark = Mark(name, os.getpid(), self._home)
        log = self._home / LOGS / f"{name}.log"
        with open_log(log) as output:
            followed = Followed(log)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", *words],
                env={**on_screen(), **UNBUFFERED, **settings, **mark.environment},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=descriptors,
                # An interrupt from the keyboard must not reach a server before the runs of the worker have ended.
                start_new_session=True,
            )
        self._parts.append(Part(name, process, log, followed))

    def wait_for(self, ready: Mapping[str, Callable[[], bool]]) -> bool:
        """Whether all are ready; not where they have to end before. Raises OutsideError when one ends or takes long."""
        waiting, until = dict(ready), time.monotonic() + PATIENCE_SECONDS
        while waiting and self._watch():
            waiting = {name: is_ready for name, is_ready in waiting.items() if not is_ready()}
            if waiting and time.monotonic() > until:
                late = ", ".join(TITLES[name] for name in waiting)
                raise OutsideError(f"{late}: not ready after {PATIENCE_SECONDS} s; see {self._home / LOGS}")
        return not waiting

    def follow(self) -> None:
        """Follows the logs until all have to end. Raises OutsideError when one ends by itself."""
        while self._watch():
            pass

    def end(self) -> None:
        """Ends all of them, and what they have started."""
        end_marked(self._home, os.getpid())
        for part in self._parts:
            part.process.wait()
            if part.process.stdin:
                part.process.stdin.close()
        self._tell_lines()
        for part in self._parts:
            part.followed.close()
        self._parts.clear()

    def _watch(self) -> bool:
        """Waits a moment, tells what is new in the logs, and whether to go on."""
        asked = self._asked.wait(PAUSE_SECONDS)
        self._tell_lines()
        for part in self._parts:
            code = part.process.poll()
            if code is not None and not asked:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise OutsideError(f"{TITLES[part.name]} ended by itself ({how}), so all are stopped; see {part.log}")
        return not asked

    def _tell_lines(self) -> None:
        for part in self._parts:
            for line in part.followed.new_lines():
                self._say(f"{part.name:<7} | {line}")
