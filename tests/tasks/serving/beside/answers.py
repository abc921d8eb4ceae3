"""Answered requests without a server."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.profile import Profile, Rate, write_profile
from tasks.monitoring.training import Rows, profile_rows
from tasks.scoring.cells import parse_cells
from tasks.serving.asking import Answered, Asked, RowsAsked
from tasks.serving.served import Served
from tasks.serving.wanted import Wanted

NOON = 1_800_000_000.0
"""Seconds since 1970, when everything is answered unless it is said."""


def load(folder: Path, name: str = "m", version: str = "1") -> Served:
    return Served.load(name, Wanted(version, str(folder), None))


def answer(
    served: Served, rows: Sequence[Mapping[str, Any]], request_id: str = "r", endpoint: str = "", at: float = NOON
) -> Answered:
    """What the version says to these rows."""
    predictions = served.graph.run(served.reader.read_rows(rows))
    return Answered(Asked(request_id, RowsAsked(rows), endpoint), served, predictions, at)


def parsed(served: Served, rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    """The columns of the rows, as files of them would be parsed."""
    columns, missing = served.reader.columns, served.contract.missing
    return {name: parse_cells([row[name] for row in rows], s, missing) for name, s in columns.items()}


def learn(served: Served, rows: Sequence[Mapping[str, Any]]) -> Profile:
    """The profile of a training on these rows, in the version's folder."""
    pieces = Rows(lambda: [parsed(served, rows)], lambda: [parsed(served, rows)])
    profile = profile_rows(served.graph, {}, pieces, pieces, Rate(count=0, rows=len(rows)))
    write_profile(profile, served.folder)
    return profile
