"""The service that the examples call, as a process of its own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import OutsideError
from tasks.examples import refunds
from tasks.examples.refunds import PORT

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def refund_service(database: Path) -> Iterator[str]:
    """The address of the service that pays refunds; it runs as a process of its own until the block ends."""
    command = [sys.executable, "-m", refunds.__name__, "--port", str(_free_port(PORT)), "--db", str(database)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            told = process.stdout.readline() if process.stdout else ""
            if not told:
                raise OutsideError("the service for refunds did not start; see above")
            yield told.split()[2].rstrip(",")
        finally:
            process.terminate()


def _free_port(wanted: int) -> int:
    """The port, or 0, which stands for any that is free, where another process listens there."""
    with socket.socket() as tried:
        return 0 if tried.connect_ex(("127.0.0.1", wanted)) == 0 else wanted
