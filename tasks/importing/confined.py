"""Work on what came from anywhere in a process of its own, which is ended where it takes too much memory or time.

The process never outlives this one, and takes what it has started with it.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Thread
from typing import IO, Any, Concatenate, ParamSpec, TypeVar, cast

import psutil

from models.errors import InputError, OutsideError

START = "import sys; sys.path.insert(0, sys.argv[1]); from tasks.importing.confined import main; main()"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS, START_SECONDS = 600.0, 120.0
SHARE = 0.9
"""Of the memory that is free."""
PAUSE_SECONDS, FAMILY_SECONDS = 0.02, 1.0
"""How often memory is looked at, and for processes that the process has started."""
SIZE = 8
"""Bytes that say how long the question is."""
PROGRESS, ANSWER = b".", b"="
"""What the process writes: a sign that it goes on, and what comes before its answer."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Given = ParamSpec("Given")
Answered = TypeVar("Answered")
Progress = Callable[[], None]


def unwatched() -> None:
    """Progress that nobody waits for."""


@dataclass(frozen=True)
class Limits:
    """What a graph, or whatever makes ONNX of a file, may take."""

    seconds: float = PATIENCE_SECONDS
    """Without a sign of progress."""
    memory_gb: float | None = None
    """Most of what is free when it starts, where it is None."""

    def bytes(self) -> float:
        """Of memory, as things are now."""
        free: int = psutil.virtual_memory().available
        return SHARE * free if self.memory_gb is None else self.memory_gb * 1e9


def confined(
    work: Callable[Concatenate[Progress, Given], Answered], where: str, doing: str, limits: Limits,
    *given: Given.args, **named: Given.kwargs,
) -> Answered:  # fmt: skip
    """What `work` returns, or raises, called with a function to say that it goes on, and with what is given.

    Errors speak of `where`, and of what was done. Raises InputError beyond the limits and where the process crashes,
    OutsideError where somebody else ends it.
    """
    with tempfile.TemporaryFile() as said, _started(said) as process:
        with suppress(BrokenPipeError):
            asked = pickle.dumps((work, given, named))
            _pipe(process.stdin).write(len(asked).to_bytes(SIZE) + asked)
            _pipe(process.stdin).flush()
        answer = _listen(process, limits, f"{where}: {doing}")
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        _end(process)
        if answer is None:
            raise _without_answer(process.returncode, said, f"{where}: {doing}")
    done, found = pickle.loads(answer)
    if isinstance(found, MemoryError):
        raise InputError(f"{where}: {doing}, it asks for more memory than there is")
    if not done:
        raise found
    return found  # type: ignore[no-any-return]


@contextmanager
def _started(said: IO[bytes]) -> "Iterator[subprocess.Popen[bytes]]":
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, str(ROOT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise OutsideError(f"a process for the import can't be started: {error.strerror}") from None
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends it, and what it has started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            _pipe(pipe).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """One that the process was started with."""
    return cast("IO[bytes]", pipe)


def _listen(process: "subprocess.Popen[bytes]", limits: Limits, head: str) -> bytes | None:
    """What the process answers; None where it ends without.

    Raises InputError beyond the limits, OutsideError where it does not start.
    """
    memory, most, heard = _Memory(process.pid), limits.bytes(), bytearray()
    quiet_since = time.monotonic()
    with DefaultSelector() as selector:
        selector.register(_pipe(process.stdout), EVENT_READ)
        while True:
            if selector.select(PAUSE_SECONDS):
                part = os.read(_pipe(process.stdout).fileno(), 1 << 16)
                if not part:
                    break
                heard += part
                quiet_since = time.monotonic()
            if memory.used() > most:
                raise InputError(f"{head}, it takes more than {most / 1e9:.3g} GB of memory; --memory-gb allows more")
            if not heard and time.monotonic() - quiet_since > START_SECONDS:
                raise OutsideError(f"{head}, its process did not start within {START_SECONDS:g} s; try again")
            if heard and time.monotonic() - quiet_since > limits.seconds:
                raise InputError(f"{head}, it gives no answer for {limits.seconds:g} s; --timeout allows more")
    _, sign, answer = bytes(heard).partition(ANSWER)
    return answer if sign else None


class _Memory:
    """What a process and those that it has started hold, without what they share with others."""

    def __init__(self, pid: int) -> None:
        self._family = [psutil.Process(pid)]
        self._looked = time.monotonic()

    def used(self) -> int:
        """In bytes; 0 once they have ended."""
        if time.monotonic() - self._looked > FAMILY_SECONDS:
            self._looked = time.monotonic()
            with suppress(psutil.Error):
                self._family[1:] = self._family[0].children(recursive=True)
        return sum(map(_held, self._family))


def _held(process: psutil.Process) -> int:
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    # Files that are mapped are let go of where memory runs short.
    return int(memory.rss - getattr(memory, "shared", 0))


def _without_answer(code: int, said: IO[bytes], head: str) -> Exception:
    """Why there is none."""
    if code >= 0:
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
        return OutsideError(f"{head}, its process ended with exit code {code}: {lines[-1] if lines else 'silently'}")
    named = {known.value: known.name for known in signal.Signals}.get(-code, f"signal {-code}")
    if -code in FROM_OUTSIDE:
        return OutsideError(f"{head}, its process was ended from outside ({named}), as happens where memory runs out")
    return InputError(f"{head}, it crashes its process ({named})")


def main() -> None:
    """The process's part: does what it is asked on its standard input, as long as that stays open."""
    _go_first()
    # Nobody else reads or writes there: not what libraries print, nor what processes inherit.
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    content = asked.read(int.from_bytes(asked.read(SIZE)))
    Thread(target=_end_with, args=(asked,), daemon=True).start()
    # Imports what the work needs.
    work, given, named = pickle.loads(content)

    def progress() -> None:
        answers.write(PROGRESS)
        answers.flush()

    progress()
    try:
        outcome: tuple[bool, Any] = True, work(progress, *given, **named)
    except BaseException as error:
        error.add_note("".join(traceback.format_exception(error)))
        outcome = False, error
    answers.write(ANSWER + _pickled(outcome))
    answers.close()
    # Threads of libraries may still be at work, and abort a process that Python takes apart meanwhile.
    os._exit(0)


def _go_first() -> None:
    """Where memory runs out, this process is ended before others; where it crashes, its memory is not written down."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with(asked: IO[bytes]) -> None:
    """Waits until who asked is gone, then ends this process and what it has started."""
    asked.read()
    os.killpg(0, signal.SIGKILL)


def _pickled(outcome: tuple[bool, Any]) -> bytes:
    done, found = outcome
    # What is trusted may end its process by SystemExit, which is not to end the other one.
    if done or isinstance(found, Exception):
        with suppress(Exception):
            content = pickle.dumps(outcome)
            pickle.loads(content)
            return content
    return pickle.dumps((False, RuntimeError(f"{type(found).__name__}: {found}")))
