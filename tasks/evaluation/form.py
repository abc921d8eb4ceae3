"""How much worse another form of a version is, such as a quantised one, on the rows that both were asked about."""

import numpy as np

from tasks.evaluation.bootstrap import FEWEST_GROUPS, Interval, Resampling, paired_difference
from tasks.evaluation.scored import Scored
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
    if name not in SHARES or found.low != 0 or found.high != 0 or _same(form, origin):
        return found
    units = len(form) if resampling.groups is None else len(np.unique(resampling.groups))
    end = RULE / (units if units >= FEWEST_GROUPS else len(form))
    return Interval(-end, end, found.difference)


def _same(form: Scored, origin: Scored) -> bool:
    return bool(np.abs(form.probabilities - origin.probabilities).max() <= TOLERANCE)
