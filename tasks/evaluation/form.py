"""How much worse another form of a version is, such as a quantised one, on the rows that both were asked about."""

import numpy as np

from tasks.evaluation.bootstrap import FEWEST_GROUPS, Interval, Resampling, paired_difference
from tasks.evaluation.scored import Indices, Scored
from tasks.export.exported import TOLERANCE

SHARES = frozenset({"accuracy"})
"""Metrics that are a share of rows, each of which is right or wrong."""
RULE = 3
"""Of N rows of which none differs, up to 3 / N may differ among all (95 %; Hanley and Lippman-Hand 1983)."""


def difference_to_origin(name: str, form: Scored, origin: Scored, resampling: Resampling) -> Interval:
    """The 95 % interval of the form's lead over its origin, row by row, see `paired_difference`.

    Where no row is decided otherwise every resample says 0, however few rows there are: the ends then are those of
    the rule of three, with groups in place of rows where rows belong together. Answers that are the same to the
    tolerance of parity are no other form, and keep the 0.
    """
    found = paired_difference(name, form, origin, resampling)
    if found.low != 0 or found.high != 0 or same_answers(form, origin):
        return found
    end = provable(name, len(form), resampling.groups)
    return Interval(-end, end, found.difference)


def provable(name: str, rows: int, groups: Indices | None) -> float:
    """The least loss that so many rows can rule out, should none be decided otherwise; 0 for metrics of other kinds."""
    if name not in SHARES:
        return 0.0
    units = rows if groups is None else len(np.unique(groups))
    return RULE / (units if units >= FEWEST_GROUPS else rows)


def same_answers(form: Scored, origin: Scored) -> bool:
    """Whether all answers are the same to the tolerance of parity."""
    if form.task == "regression":
        return bool(np.abs(form.values - origin.values).max(initial=0.0) <= TOLERANCE)
    return bool(np.abs(form.probabilities - origin.probabilities).max(initial=0.0) <= TOLERANCE)
