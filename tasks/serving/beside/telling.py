"""What is told of endpoints to whoever asks: all processes together, and what has drifted."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.profile import Rate
from tasks.serving.beside.counts import SECONDS
from tasks.serving.beside.shared import Merged, merge, read_states
from tasks.serving.served import Served

if TYPE_CHECKING:
    from tasks.serving.beside.windows import Expected

Told = dict[str, Any]
BREATH = 0.001
"""Seconds between endpoints, in which requests are answered."""


class Telling:
    """Of one process. What takes long is done in a thread of its own, one after the other, however many ask."""

    def __init__(self, folder: Path) -> None:
        """`folder` is that which the processes of the server share."""
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, "telling")
        self._expected: dict[str, tuple[Served, Expected | None]] = {}
        self._known: dict[tuple[str, str], tuple[tuple[int, int], Told | None]] = {}
        """What was told of an endpoint's drift, and of how many rows; nothing is computed twice."""

    async def tell_all(self, served: Mapping[str, Served]) -> Told:
        """Of all names, to who asks in the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.all, served)

    async def tell(self, served: Served) -> Told:
        """Of one name, to who asks in the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.of, served)

    def close(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(cancel_futures=True)

    def all(self, served: Mapping[str, Served]) -> Told:
        """Of all names."""
        return {"models": [self.of(each) for each in served.values()]}

    def of(self, served: Served) -> Told:
        """Of one name: counts, rates, rejects, and drift from the training of the version that answers now."""
        states = read_states(self._folder, served.name)
        merged, expected = merge(states, served.version, time.time()), self._expected_of(served)
        return {
            "model": served.name,
            "version": served.version,
            "let_go": sum(state.let_go for state in states),
            "endpoints": [self._told(served, expected, name, each) for name, each in merged.items()],
        }

    def _expected_of(self, served: Served) -> "Expected | None":
        # Late: a server that nobody asks does without.
        from tasks.serving.beside.windows import Expected

        known = self._expected.get(served.name)
        if known is None or known[0] is not served:
            self._expected[served.name] = known = (served, Expected.known_of(served))
            self._known = {key: value for key, value in self._known.items() if key[0] != served.name}
        return known[1]

    def _told(self, served: Served, expected: "Expected | None", name: str, merged: Merged) -> Told:
        return {
            "endpoint": name,
            "requests": merged.requests,
            "rows": merged.rows,
            "rejected": merged.rejected,
            "reasons": dict(merged.reasons.most_common()),
            "last": datetime.fromtimestamp(merged.last, UTC).isoformat(timespec="milliseconds"),
            "rows_per_second": round(merged.recent / SECONDS, 3),
            "drift": None if expected is None else self._drift(served, expected, name, merged),
        }

    def _drift(self, served: Served, expected: "Expected", name: str, merged: Merged) -> Told | None:
        if merged.counts is None:
            return None
        basis = (merged.requests, merged.counted)
        known = self._known.get((served.name, name))
        if known is None or known[0] != basis:
            known = basis, _drift_of(expected, merged)
            self._known[served.name, name] = known
            time.sleep(BREATH)
        return known[1]


def _drift_of(expected: "Expected", merged: Merged) -> Told | None:
    # Late: it loads what tests of distributions need.
    from tasks.monitoring.drift import compare

    rows = merged.counted + merged.counted_rejected
    if merged.counts is None or not rows:
        return None
    now = expected.places.profile(merged.counts, merged.counted, Rate(count=merged.counted_rejected, rows=rows))
    found = compare(expected.profile, now, expected.rules)
    changes = [change.as_dict() | {"change": change.change} for change in found.drifted]
    columns = dict.fromkeys(change.column for change in found.drifted if change.column is not None)
    return {"rows": rows, "columns": list(columns), "changes": changes}
