"""What earlier servers on the same address knew of endpoints: counts go on, distributions begin anew.

The rows that a distribution is of would else never become old.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from tasks.aside import HeldError, held
from tasks.serving.beside.counts import MOST_REASONS, OTHER, SECONDS
from tasks.serving.beside.damaged import set_aside
from tasks.serving.beside.shared import State, merge, read_state, write_state

LOG = logging.getLogger("perennial.serve")
LOCK, EARLIER = ".lock", "0"
"""The name of what is summed up, where processes have their numbers."""


@contextmanager
def endpoints_folder(kept: Path | None, scratch: Path) -> Iterator[Path]:
    """The folder in which the processes of a server share what they know, to itself during the block.

    It is `scratch`, without anything earlier, where none is `kept`, or another server has that one.
    """
    with ExitStack() as stack:
        folder = scratch
        if kept is not None:
            try:
                stack.enter_context(held(kept / LOCK, "serves"))
                sum_up(kept)
                folder = kept
            except HeldError:
                LOG.warning("%s: another server keeps its counts of endpoints there; ours end with this server", kept)
            except OSError as error:
                LOG.warning("%s: counts of endpoints can't be kept: %s", kept, error.strerror or error)
        yield folder


def sum_up(folder: Path) -> None:
    """Makes one file a model of those of processes that have ended. Raises OSError where the disk refuses it."""
    for begun in folder.glob("*.new"):
        begun.unlink()
    found: dict[str, list[tuple[Path, State]]] = {}
    for path in sorted(folder.glob("*.npz")):
        try:
            state = read_state(path)
        except Exception as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
                # The machine's, and not the file's.
                raise
            # Whatever NumPy makes of other bytes, and what other releases write.
            set_aside(path, (str(error) or repr(error)).splitlines()[0])
        else:
            found.setdefault(state.model, []).append((path, state))
    for model, pairs in found.items():
        write_state(folder, EARLIER, _sum_of(model, [state for _, state in pairs]))
        for path, _ in pairs:
            if path.name.partition("-")[0] != EARLIER:
                path.unlink()


def _sum_of(model: str, states: Sequence[State]) -> State:
    merged = merge(states, "", 0.0)
    known = {name for state in states for name in state.endpoints}
    totals = [(each.requests, each.rows, each.rejected) for each in merged.values()]
    return State(
        model=model,
        version="",
        since=min(state.since for state in states),
        let_go=sum(state.let_go for state in states) + len(known) - len(merged),
        endpoints=tuple(merged),
        reasons=tuple(_bounded(each.reasons) for each in merged.values()),
        second=0,
        totals=np.array(totals, np.int64).reshape(-1, 3),
        last=np.array([each.last for each in merged.values()], np.float64),
        recent=np.zeros((len(merged), SECONDS), np.int32),
        counts=None,
        rows=None,
    )


def _bounded(reasons: Counter[str]) -> dict[str, int]:
    kept = Counter(dict(reasons.most_common(MOST_REASONS)))
    rest = reasons.total() - kept.total()
    return dict(kept + Counter({OTHER: rest}))
