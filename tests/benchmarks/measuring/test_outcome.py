import pyarrow as pa
import pytest

from benchmarks.measuring.outcome import Outcome, compared

DUE = pa.table({"row": [1, 2, 3], "label": ["a", None, "b"]})


def rows(*pairs: tuple[int, str | None]) -> pa.Table:
    schema = pa.schema({"row": pa.int64(), "label": pa.string()})
    return pa.Table.from_pylist([{"row": row, "label": label} for row, label in pairs], schema)


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (rows((1, "a"), (2, None), (3, "b")), Outcome(0, 0, 0)),
        (rows((3, "b"), (1, "a"), (2, None)), Outcome(0, 0, 0)),
        (rows((1, "a"), (3, "b")), Outcome(1, 0, 0)),
        (rows((1, "a"), (2, None), (2, None), (3, "b")), Outcome(0, 1, 0)),
        (rows((1, "a"), (2, "b"), (3, None)), Outcome(0, 0, 2)),
        (rows((1, "a"), (2, None), (4, "b")), Outcome(1, 0, 1)),
        (rows((1, "a"), (2, None), (3, "b"), (4, "b")), Outcome(0, 0, 1)),
        (rows(), Outcome(3, 0, 0)),
    ],
)
def test_rows_are_counted_that_are_lost_twice_or_different(found: pa.Table, outcome: Outcome) -> None:
    assert compared(found, DUE) == outcome
