"""Whether rows have drifted from those of a training: by how much each facet changed, and whether by chance."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models.profile import Bins, Facet, Profile, Rate
from models.sections import Monitor
from tasks.monitoring.distances import (
    Floats,
    holm,
    homogeneity,
    jensen_shannon,
    kolmogorov_smirnov,
    stability_index,
)

if TYPE_CHECKING:
    # It takes a second to load, and is of no use to whoever measures nothing.
    from tasks.monitoring.performance import Performance

Of = Literal["column", "predictions", "rows"]
REJECTED = "rejected"


@dataclass(frozen=True)
class Change:
    """One facet of a column, of the predictions, or of all rows, in the training and now."""

    of: Of
    column: str | None
    facet: str
    before: Facet
    now: Facet
    psi: float | None
    """The population stability index; None of a share."""
    distance: float | None
    """The Jensen-Shannon distance, from 0 to 1; None of a share."""
    statistic: float
    """Of Kolmogorov and Smirnov for bins, else chi-square."""
    p_value: float
    """Corrected for all facets that are judged."""
    effect: float
    """Multiples of the threshold from which on a change counts."""
    judged: bool = True
    drifted: bool = False

    @property
    def name(self) -> str:
        """What changed, for people: the column, or whose facet it is."""
        return self.of if self.column is None else self.column

    @property
    def change(self) -> str:
        """How it changed, in few words."""
        if isinstance(self.before, Rate) and isinstance(self.now, Rate):
            return f"{100 * self.before.share:.1f} % before, {100 * self.now.share:.1f} % now"
        return f"PSI {self.psi or 0.0:.3f}"

    def as_dict(self) -> dict[str, Any]:
        """Its figures, without the distributions."""
        shares = {"before": self.before.share} if isinstance(self.before, Rate) else {}
        shares |= {"now": self.now.share} if isinstance(self.now, Rate) else {}
        names = ("of", "column", "facet", "psi", "distance", "statistic", "p_value", "judged", "drifted")
        return {name: getattr(self, name) for name in names} | shares


@dataclass(frozen=True)
class Drift:
    """All changes: those that are drift first, the largest of each sort before the others."""

    changes: tuple[Change, ...]
    performance: "Performance | None" = None
    """Where labels have arrived."""

    @property
    def drifted(self) -> tuple[Change, ...]:
        """Those that are drift."""
        return tuple(change for change in self.changes if change.drifted)

    @property
    def breach(self) -> bool:
        """Whether something has drifted, or the version is worse than was promised."""
        return bool(self.drifted or (self.performance and self.performance.worse))


def compare(stored: Profile, now: Profile, rules: Monitor) -> Drift:
    """What changed from the training to now; both are counted in the same cells.

    A facet has drifted when its change is at least as large as the rules say and the test, corrected for all facets
    (Holm 1979), does not take it for chance. Both are needed: in few rows large changes are chance, in very many rows
    the smallest are none.
    """
    found = [*_changes(stored, now, rules)]
    corrected = iter(holm([change.p_value for change in found if change.judged]))
    judged = [_judged(change, next(corrected), rules) if change.judged else change for change in found]
    return Drift(tuple(sorted(judged, key=lambda change: (not change.drifted, -change.effect))))


def _changes(stored: Profile, now: Profile, rules: Monitor) -> Iterator[Change]:
    overlap = stored.overlap
    yield _change(("rows", None, REJECTED), stored.rejected, now.rejected, rules, overlap, growing=True)
    yield from _of_facets("predictions", None, stored.predictions.facets, now.predictions.facets, rules, overlap)
    for name, column in stored.columns.items():
        yield from _of_facets("column", name, column.facets, now.columns[name].facets, rules, overlap)


def _of_facets(
    of: Of, column: str | None, before: Mapping[str, Facet], now: Mapping[str, Facet], rules: Monitor, overlap: int
) -> Iterator[Change]:
    for facet in before:
        yield _change((of, column, facet), before[facet], now[facet], rules, overlap)


def _change(
    where: tuple[Of, str | None, str], before: Facet, now: Facet, rules: Monitor, overlap: int, growing: bool = False
) -> Change:
    """`growing`: only a share that grows is a change."""
    if isinstance(before, Rate) and isinstance(now, Rate):
        grown = now.share - before.share
        test = homogeneity(_counts(before), _counts(now), overlap)
        effect = (grown if growing else abs(grown)) / rules.share
        return Change(*where, before, now, None, None, test.statistic, test.p_value, effect)
    p, q = _counts(before), _counts(now)
    psi, distance = stability_index(p, q), jensen_shannon(p, q)
    test = (kolmogorov_smirnov if isinstance(before, Bins) else homogeneity)(p, q, overlap)
    judged = not isinstance(before, Bins) or before.judged
    return Change(*where, before, now, psi, distance, test.statistic, test.p_value, psi / rules.psi, judged)


def _counts(facet: Facet) -> Floats:
    cells = (facet.count, facet.rows - facet.count) if isinstance(facet, Rate) else facet.cells
    return np.array(cells, dtype=np.float64)


def _judged(change: Change, p_value: float, rules: Monitor) -> Change:
    return replace(change, p_value=p_value, drifted=change.effect >= 1 and p_value <= rules.significance)
