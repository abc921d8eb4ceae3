"""What the processes of a server tell each other about endpoints: a small file for each process and model."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.serving.beside.counts import MOST_ENDPOINTS, SECONDS
from tasks.serving.beside.names import folder_name

TOLD = ("model", "version", "since", "let_go", "endpoints", "reasons", "second")


@dataclass(frozen=True)
class State:
    """Of E endpoints of one model."""

    model: str
    version: str
    since: float
    """When counting began: seconds since 1970."""
    let_go: int
    endpoints: tuple[str, ...]
    reasons: tuple[dict[str, int], ...]
    second: int
    """The newest that `recent` counts."""
    totals: NDArray[np.int64]
    """[E, 3] requests, rows, rejected rows."""
    last: NDArray[np.float64]
    """[E] seconds since 1970."""
    recent: NDArray[np.int32]
    """[E, 60] rows by second, modulo 60."""
    counts: NDArray[np.int64] | None
    """[E, cells] of the last rows; None where the version has no profile."""
    rows: NDArray[np.int64] | None
    """[E, 2] how many these are, and how many were rejected meanwhile."""


def write_state(folder: Path, process: str, state: State) -> None:
    """Replaces what the process has told of that model. Raises OSError."""
    path = folder / f"{process}-{folder_name(state.model)}.npz"
    told = {name: getattr(state, name) for name in TOLD}
    arrays = {"totals": state.totals, "last": state.last, "recent": state.recent}
    if state.counts is not None and state.rows is not None:
        arrays |= {"counts": state.counts, "rows": state.rows}
    aside = path.with_suffix(".new")
    with aside.open("wb") as file:
        np.savez(file, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    aside.replace(path)


def read_states(folder: Path, model: str) -> list[State]:
    """What all processes have told of that model, also those that have ended."""
    return [
        read_state(path) for path in sorted(folder.glob("*.npz")) if path.stem.partition("-")[2] == folder_name(model)
    ]


def read_state(path: Path) -> State:
    """What one file tells."""
    with np.load(path, allow_pickle=False) as arrays:
        told: dict[str, Any] = json.loads(arrays["told"].tobytes())
        sides = {name: arrays.get(name) for name in ("totals", "last", "recent", "counts", "rows")}
    endpoints, reasons = tuple(told.pop("endpoints")), tuple(told.pop("reasons"))
    return State(**told, endpoints=endpoints, reasons=reasons, **sides)


@dataclass
class Merged:
    """One endpoint, over all processes."""

    requests: int = 0
    rows: int = 0
    rejected: int = 0
    last: float = 0.0
    recent: int = 0
    """Rows of the last minute."""
    reasons: Counter[str] = field(default_factory=Counter)
    counts: NDArray[np.int64] | None = None
    counted: int = 0
    counted_rejected: int = 0


def merge(states: Sequence[State], version: str, now: float) -> dict[str, Merged]:
    """All endpoints, those that sent last first, and no more than one process keeps.

    Distributions are those of rows that the given version has answered.
    """
    found: dict[str, Merged] = {}
    for state in states:
        recent = _recent(state, int(now))
        for place, endpoint in enumerate(state.endpoints):
            merged = found.setdefault(endpoint, Merged())
            requests, rows, rejected = state.totals[place].tolist()
            merged.requests += requests
            merged.rows += rows
            merged.rejected += rejected
            merged.last = max(merged.last, float(state.last[place]))
            merged.recent += int(recent[place])
            merged.reasons.update(state.reasons[place])
            if state.counts is not None and state.rows is not None and state.version == version:
                own = state.counts[place].astype(np.int64)
                merged.counts = own if merged.counts is None else merged.counts + own
                merged.counted += int(state.rows[place, 0])
                merged.counted_rejected += int(state.rows[place, 1])
    ordered = sorted(found.items(), key=lambda pair: -pair[1].last)
    return dict(ordered[:MOST_ENDPOINTS])


def _recent(state: State, now: int) -> NDArray[np.int64]:
    """Rows of each endpoint in the minute before `now`, [E]; the state may be older."""
    seconds = np.arange(state.second - SECONDS + 1, state.second + 1)
    kept = seconds[(seconds > now - SECONDS) & (seconds <= now)] % SECONDS
    return np.asarray(state.recent[:, kept].sum(axis=1))
