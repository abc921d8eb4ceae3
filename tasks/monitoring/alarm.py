"""When drift is more than one odd window: breaches among the last windows of a version."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.sections import Monitor


@dataclass(frozen=True)
class WindowRecord:
    """One window on record."""

    run_id: str
    at: float
    """When its monitoring began: seconds since 1970."""
    drifted: bool
    digest: str
    """The same for the same rows of the same inputs."""
    told: bool = False
    """Whether an event followed from it."""


@dataclass(frozen=True)
class Alarm:
    """What the last windows say together."""

    windows: tuple[WindowRecord, ...]
    """Newest first, each once, at most as many as the rules ask for."""
    raised: bool
    """Whether an event is to follow."""

    @property
    def breaches(self) -> int:
        """Windows that have drifted."""
        return sum(window.drifted for window in self.windows)


def find_alarm(records: Sequence[WindowRecord], rules: Monitor) -> Alarm:
    """Whether enough of the last windows, the newest of them included, have drifted; `records` are newest first.

    A window that was monitored several times is one, and nothing follows from it twice.
    """
    latest: dict[str, WindowRecord] = {}
    for record in records:
        latest.setdefault(record.digest, record)
    windows = tuple(latest.values())[: rules.windows]
    newest = windows[0]
    told = any(record.told for record in records if record.digest == newest.digest)
    breaches = sum(window.drifted for window in windows)
    return Alarm(windows, newest.drifted and breaches >= rules.breaches and not told)
