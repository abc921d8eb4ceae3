"""Only the rows of a period: those outside are passed over, those without a time are rejected."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns import KINDS
from models.columns.datetime.feed import DatetimeSettings
from models.contract import Contract
from models.errors import InputError
from tasks.data.batches import RawBatch
from tasks.data.rejects import Finding, no_rejects, reject_rows


@dataclass(frozen=True)
class Period:
    """Rows whose `column` lies between two instants; a bound of None is open, `until` itself lies outside."""

    column: str
    since: str | None
    until: str | None

    def __post_init__(self) -> None:
        if self.since and self.until and not _instant(self.since) < _instant(self.until):
            raise InputError(f"--since {self.since} is not before --until {self.until}")

    @classmethod
    def of(cls, column: str | None, since: str | None, until: str | None, contract: Contract) -> "Period | None":
        """The period of a run, by the model's own time where no column is named. Raises InputError without one."""
        if since is None and until is None:
            return None
        own = contract.series.time if contract.series else None
        found = column or own or (contract.split.columns[0] if contract.split.rule == "time" else None)
        if found is None:
            raise InputError("--since and --until need --time COLUMN: the model knows no time of its rows")
        return cls(found, since, until)

    def cut(
        self, batch: RawBatch, missing: Sequence[str], sensitive: Collection[str]
    ) -> tuple[RawBatch, pa.Table, int]:
        """The rows within, rejects of those without a time, and how many were passed over."""
        if self.column not in batch.table.column_names:
            raise InputError(f"{batch.source}: no column {self.column!r}, which --since and --until look at")
        parsed = KINDS["datetime"].parse(batch.table[self.column], DatetimeSettings(), tuple(missing)).values
        inside, untimed = self._inside(parsed), np.asarray(parsed.is_null())
        kept = np.flatnonzero(inside)
        rejects = no_rejects()
        if untimed.any():
            rejects = reject_rows(batch, [Finding(self.column, f"no time in {self.column}", untimed)], sensitive)
        passed = len(batch.rows) - len(kept) - int(untimed.sum())
        return _taken(batch, kept), rejects, passed

    def _inside(self, times: pa.Array) -> NDArray[np.bool_]:
        inside = times.is_valid()
        if self.since:
            inside = pc.and_kleene(inside, pc.greater_equal(times, pa.scalar(_instant(self.since), times.type)))
        if self.until:
            inside = pc.and_kleene(inside, pc.less(times, pa.scalar(_instant(self.until), times.type)))
        return np.asarray(pc.fill_null(inside, False))


def _instant(text: str) -> datetime:
    """UTC where no zone is given. Raises InputError for what is no ISO 8601 date or time."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{text!r}: no date or time; write it as 2026-11-24 or 2026-11-24T06:00:00+01:00") from None


def _taken(batch: RawBatch, kept: NDArray[np.int64]) -> RawBatch:
    index = pa.array(kept)
    gathered = {name: values.take(index) for name, values in batch.gathered.items()}
    return replace(batch, rows=batch.rows[kept], table=batch.table.take(index), gathered=gathered)
