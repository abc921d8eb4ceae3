"""Hidden folders to write to until everything is there, and locks; what a killed process left stops nobody."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import IO


class HeldError(Exception):
    """Another process holds the lock; the text is what it wrote there."""


@contextmanager
def folder_aside(parent: Path, label: str) -> Iterator[Path]:
    """A new hidden folder in `parent`, on the same file system, so that finished files can be renamed into place.

    It is gone after the block. Folders of the same label whose process on this machine has ended are removed first.
    """
    prefix = f".{label}.{socket.gethostname()}."
    parent.mkdir(parents=True, exist_ok=True)
    remove_left(parent, prefix)
    aside = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}.", dir=parent))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_left(parent: Path, prefix: str) -> None:
    """Removes folders in `parent` named by `prefix`, a process of this machine and more, whose process has ended."""
    for left in parent.glob(f"{escape(prefix)}*"):
        owner = left.name.removeprefix(prefix).partition(".")[0]
        if owner.isdecimal() and not runs(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def runs(process: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keeps what a lock file stands for from being `left_alone`; any number of processes may do so at once."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def left_alone(path: Path) -> Iterator[None]:
    """Nobody begins to use what a lock file stands for during the block. Raises HeldError where somebody does."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError("another process") from None
        yield


@contextmanager
def held(path: Path, holder: str) -> Iterator[Callable[[str], None]]:
    """Keeps what a hidden lock file stands for to this process; whoever comes meanwhile finds `holder` in the file.

    What is yielded changes that text. The file is gone after the block; one that a killed process left is taken over.
    Raises HeldError when it is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)

    def tell(text: str) -> None:
        lock.seek(0)
        lock.truncate()
        lock.write(text)
        lock.flush()

    try:
        tell(holder)
        yield tell
    finally:
        # Removed while locked: a process that opened it before sees in `_lock` that it holds a file without a name.
        path.unlink(missing_ok=True)
        lock.close()


def holder_of(path: Path) -> str | None:
    """What the process that holds the lock file wrote there; None where nobody holds it."""
    import fcntl

    try:
        with path.open(encoding="utf-8") as lock:
            # A shared lock, which any number of readers have at once and a holder gives to nobody.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return path.read_text(encoding="utf-8").strip()
    return None


def _lock(path: Path) -> IO[str]:
    # fcntl is missing on Windows, where the platform does not run.
    import fcntl

    while True:
        # Not emptied by opening, since it may tell who holds it.
        lock = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise HeldError(holder) from None
        if _names(path, lock):
            return lock
        lock.close()


def _names(path: Path, opened: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(opened.fileno()))
    except FileNotFoundError:
        return False


def flush_to_disk(path: Path) -> None:
    """What was written to the file, or the names in the folder, outlives a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
