"""What callers ask, whichever protocol it came by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol

from tasks.scoring.cells import Cells
from tasks.scoring.predictor import Predictions
from tasks.scoring.rows import Finding, Row, RowReader, RowsError
from tasks.serving.served import Served

NO_ENDPOINT = ""


@dataclass(frozen=True)
class RowsAsked:
    """N rows, each with its columns by name."""

    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, reader: RowReader) -> dict[str, Any]:
        """Graph inputs. Raises RowsError."""
        return reader.read_rows(self.rows)

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Cells [N] of each column, None where a row lacks it."""
        try:
            # Without a loop, where all rows have them all.
            cells = zip(*map(itemgetter(*names), self.rows), strict=True) if len(names) > 1 and self.rows else ()
            found = {name: list(values) for name, values in zip(names, cells, strict=False)}
        except KeyError:
            found = {}
        return found or {name: [row.get(name) for row in self.rows] for name in names}


@dataclass(frozen=True)
class ColumnsAsked:
    """N rows as cells by column."""

    cells: Mapping[str, Cells]
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, reader: RowReader) -> dict[str, Any]:
        """Graph inputs. Raises RowsError, also where a column of the model was not sent."""
        if not self.cells.keys() >= reader.columns.keys():
            raise RowsError(reader.absent(self.cells))
        return reader.read_columns(self.cells)

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Cells [N] of each column, None where it was not sent."""
        return {name: list(self.cells[name]) if name in self.cells else [None] * self.count for name in names}


@dataclass(frozen=True)
class Asked:
    """A request to one model."""

    id: str
    rows: RowsAsked | ColumnsAsked
    endpoint: str = NO_ENDPOINT
    """The device, machine or place that asks, where the caller names one."""


@dataclass(frozen=True)
class Answered:
    """A request and what was predicted for its rows."""

    asked: Asked
    served: Served
    predictions: Predictions
    at: float = field(default=0.0)
    """Seconds since 1970."""


class Observer(Protocol):
    """Is shown what happens; works fast, since it runs in the event loop."""

    async def answered(self, answered: Answered) -> None:
        """Before the answer leaves; an error here is an error of the request."""

    def refused(self, served: Served, asked: Asked, findings: Sequence[Finding]) -> None:
        """A request whose rows are not scored, for what was found in some of them."""
