"""When a Prefect task is tried again: what failed outside may work the next time, what the user wrote won't."""

from typing import Any

from models.errors import PerennialError

RETRIES = 2
DELAYS = [2.0, 10.0]
"""Seconds before the first and the second retry."""


def failed_outside(task: Any, run: Any, state: Any) -> bool:
    """Whether a failed task run should be retried: not after wrong input or a refusal."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, PerennialError) or error.exit_code == 3
