"""What is left of the rows of a run, beside the output of one that nothing happened to."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

OF_THE_RUN = ("run_id", "source")
"""Columns that name the run and its input, and so differ from run to run."""


@dataclass(frozen=True)
class Outcome:
    """The output beside one that nothing happened to."""

    lost: int
    twice: int
    differ: int
    lines: int | None = None
    """That were told when the run could not go on; None where it could."""
    visible: int = 0
    """Files of the output that were to be seen then."""

    @property
    def wrong(self) -> int:
        """Rows that are not what they should be."""
        return self.lost + self.twice + self.differ


def compared(found: pa.Table, due: pa.Table, lines: int | None = None, visible: int = 0) -> Outcome:
    """The predictions of a run with those that are due, by the number of the row; rows that nobody asked for differ."""
    places = pc.index_in(due["row"], value_set=found["row"])
    distinct, there = pc.count_distinct(found["row"]).as_py(), places.is_valid()
    both = pc.sum(there).as_py()
    same = _equal_rows(found.select(due.column_names).take(places.drop_null()), due.filter(there))
    return Outcome(len(due) - both, len(found) - distinct, distinct - same, lines, visible)


def _equal_rows(one: pa.Table, other: pa.Table) -> int:
    alike = pa.chunked_array([pa.repeat(True, len(one))])
    for name in other.column_names:
        nulls = pc.equal(one[name].is_null(), other[name].is_null())
        alike = pc.and_(alike, pc.and_(nulls, pc.fill_null(pc.equal(one[name], other[name]), True)))
    return int(pc.sum(alike).as_py() or 0)
