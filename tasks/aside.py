"""Hidden folders to write to until everything is there; what a killed process left is removed by the next."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_aside(parent: Path, label: str) -> Iterator[Path]:
    """A new hidden folder in `parent`, on the same file system, so that finished files can be renamed into place.

    It is gone after the block. Folders of the same label whose process on this machine has ended are removed first.
    """
    prefix = f".{label}.{socket.gethostname()}."
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        owner = left.name.removeprefix(prefix).partition(".")[0] if left.name.startswith(prefix) else ""
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}.", dir=parent))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
