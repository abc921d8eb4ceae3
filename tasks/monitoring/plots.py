"""How a facet was distributed in the training and is now, as figures in the common look."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from models.profile import Bins, Names
from tasks.evaluation.plots.style import FAINT, MODEL, literal, name_lines, new_figure

SHOWN_NAMES = 12
TICKS = 5
WIDTH = 0.4


def shares(title: str, before: Bins | Names, now: Bins | Names) -> Figure:
    """The shares of rows in each bin, or of each name, before and now."""
    if isinstance(before, Bins):
        return _bins(title, before, now)
    return _names(title, before, now)


def _bins(title: str, before: Bins, now: Bins | Names) -> Figure:
    """Bars of equal width, since bins have about equally many training rows: what rises above them came later."""
    figure, axes = new_figure(literal(title, 60))
    place = np.arange(len(before.cells))
    axes.bar(place, _shares(before), width=1.0, color=FAINT, alpha=0.45)
    axes.bar(place, _shares(now), width=0.55, color=MODEL, alpha=0.85)
    # Between two bins is an edge.
    chosen = np.unique(np.linspace(0, len(before.edges) - 1, min(TICKS, len(before.edges))).astype(np.int64))
    axes.set_xticks(chosen + 0.5, [_edge(before.edges[int(i)]) for i in chosen])
    axes.grid(False, axis="x")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.2)
    axes.set(ylabel="Rows")
    name_lines(axes, [("training", FAINT), ("now", MODEL)], (0.03, 0.97), up=False)
    return figure


def _edge(value: float) -> str:
    # The number just below 0, where a bin ends before a value that fills many rows, is as good as 0.
    return f"{float(np.float32(value)) + 0.0:.4g}".replace("-", "−")


def _names(title: str, before: Names, now: Bins | Names) -> Figure:
    """Bars of the names whose shares changed most, and of all others together."""
    p, q = _shares(before), _shares(now)
    chosen = np.argsort(-np.abs(q[:-1] - p[:-1]), kind="stable")[:SHOWN_NAMES]
    left = np.setdiff1d(np.arange(len(p)), chosen)
    labels = [before.names[int(i)] for i in chosen]
    p, q = (np.append(each[chosen], each[left].sum()) for each in (p, q))
    others = p[-1] + q[-1] > 0
    labels, p, q = ([*labels, "all others"], p, q) if others else (labels, p[:-1], q[:-1])
    figure, axes = new_figure(literal(title, 60), (6.0, max(2.4, 1.3 + 0.42 * len(labels))))
    place = np.arange(len(labels))
    axes.barh(place - WIDTH / 2, p, height=WIDTH, color=FAINT, alpha=0.6, label="training")
    axes.barh(place + WIDTH / 2, q, height=WIDTH, color=MODEL, alpha=0.85, label="now")
    axes.set_yticks(place, [literal(label) for label in labels])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="Rows")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _shares(facet: Bins | Names) -> NDArray[np.float64]:
    counts = np.array(facet.cells, dtype=np.float64)
    return np.asarray(counts / max(counts.sum(), 1.0))
