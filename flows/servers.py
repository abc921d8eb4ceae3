"""The servers of `perennial up`: one at a time for a state folder, and how other commands learn of them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from models.errors import OutsideError
from tasks.aside import HeldError, held, holder_of

POOL = "perennial"
"""The work pool of all deployments."""
LOCK = "up.lock"
PATIENCE_SECONDS = 1.0
"""A command that looks who holds the lock keeps it for less than that."""


@dataclass(frozen=True)
class Servers:
    """Addresses of the servers of the process `pid`; none while they are starting."""

    pid: int
    prefect: str | None = None
    mlflow: str | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What Prefect and MLflow have to be told in order to use them."""
        return {"PREFECT_API_URL": f"{self.prefect}/api", "MLFLOW_TRACKING_URI": self.mlflow} if self.mlflow else {}


def running_servers(home: Path) -> Servers | None:
    """The servers of this state folder; None where `perennial up` does not run, or was killed."""
    text = holder_of(home / LOCK)
    return _read(text) if text is not None else None


def settings_of_up(home: Path) -> dict[str, str]:
    """Settings that lead to the servers of this state folder, where they run."""
    found = running_servers(home)
    return found.settings if found else {}


@contextmanager
def alone(home: Path, servers: Servers) -> Iterator[Callable[[Servers], None]]:
    """Keeps the state folder to this process; the function that is yielded tells other commands the addresses.

    Raises OutsideError that names the process which has it.
    """
    with ExitStack() as stack:
        tell = _take(stack, home / LOCK, _text(servers))
        yield lambda now: tell(_text(now))


def _take(stack: ExitStack, lock: Path, text: str) -> Callable[[str], None]:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return stack.enter_context(held(lock, text))
        except HeldError as other:
            if time.monotonic() > until:
                raise OutsideError(_refusal(lock.parent, _read(str(other)))) from None
            time.sleep(0.05)


def _refusal(home: Path, first: Servers | None) -> str:
    if first is None:
        return f"{home}: `perennial up` runs already on this state folder; end it first"
    where = f"Prefect {first.prefect}, MLflow {first.mlflow}" if first.mlflow else "its servers are starting"
    return f"{home}: `perennial up` runs already on this state folder (process {first.pid}; {where}); end it first"


def _text(servers: Servers) -> str:
    return json.dumps(asdict(servers))


def _read(text: str) -> Servers | None:
    """None where the text is being written just now."""
    try:
        return Servers(**json.loads(text))
    except (ValueError, TypeError):
        return None
