"""When a Prefect task is tried again: what failed outside may work the next time, what the user wrote won't."""

import time
from collections.abc import Callable
from typing import Any

from models.errors import OutsideError, PerennialError

RETRIES = 2
DELAYS = [2.0, 10.0]
"""Seconds before the first and the second retry."""
PATIENCE_SECONDS, PAUSE_SECONDS = 120.0, 5.0
"""How long work that would be lost waits for a server, and how often it asks."""
OUTSIDE = {
    ("httpx", "HTTPError"),
    ("requests", "RequestException"),
    ("urllib3", "HTTPError"),
    ("sqlalchemy", "OperationalError"),
    ("sqlalchemy", "DisconnectionError"),
    ("sqlalchemy", "TimeoutError"),
    ("sqlite3", "OperationalError"),
    ("mlflow", "MlflowException"),
    ("prefect", "PrefectHTTPStatusError"),
    ("botocore", "BotoCoreError"),
}
"""Library and class of errors of servers and databases: by name, since importing the libraries takes seconds."""


def failed_outside(task: Any, run: Any, state: Any) -> bool:
    """Whether a failed task run should be retried: not after wrong input, a refusal, or an error in the code."""
    return is_outside(state.result(raise_on_failure=False))


def is_outside(error: BaseException) -> bool:
    """Whether a server, disk or network failed, which may work the next time."""
    if isinstance(error, PerennialError):
        return error.exit_code == OutsideError.exit_code
    return isinstance(error, OSError) or any(
        (base.__module__.partition(".")[0], base.__name__) in OUTSIDE for base in type(error).__mro__
    )


def patiently(attempt: Callable[[], None]) -> None:
    """Makes the attempt until it succeeds. Raises its OutsideError where that takes more than two minutes."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return attempt()
        except OutsideError:
            if time.monotonic() > until:
                raise
        time.sleep(PAUSE_SECONDS)


TRIED_AGAIN: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": DELAYS,
    "retry_condition_fn": failed_outside,
}
"""Arguments of a Prefect task that works with what is outside."""
