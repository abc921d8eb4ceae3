"""Figures of a classification: ranking curves, confusion, and how sure the model is."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from tasks.evaluation.metrics import metric, per_class
from tasks.evaluation.plots.style import FAINT, INK, MODEL, RIVAL, literal, name_lines, new_figure
from tasks.evaluation.scored import Floats, Indices, Scored

MOST_POINTS = 400
"""Points of a curve; more can't be seen."""
MOST_CURVES = 30
MOST_NUMBERED = 12
"""Classes up to which the cells of a confusion matrix carry numbers."""
MOST_LABELLED = 30
"""Classes up to which a confusion matrix shows all."""
FULL_MIX_UP = 0.25
"""Share of a class that, taken for another, has the full colour, unless a larger one occurs."""

Curve = Callable[[Scored, int], tuple[Floats, Floats]]


def roc(scored: Scored, names: Sequence[str], boosting: Scored | None = None) -> Figure:
    """Share of a class found against false alarms raised, for every threshold."""
    title = f"Finding “{names[1]}”" if scored.task == "binary" else "Finding each class"
    figure, axes = new_figure(literal(f"{title}: hits and false alarms", 60))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    if scored.task == "binary":
        _compare(axes, scored, boosting, _roc_points, "roc_auc", "ROC AUC", (0.97, 0.06))
    else:
        _by_class(axes, scored, names, _roc_points, "roc_auc", (0.97, 0.06))
    axes.set(xlabel="False alarms (share of all other rows)", ylabel="Found (share of the class's rows)")
    return _squared(figure, axes)


def precision_recall(scored: Scored, names: Sequence[str], boosting: Scored | None = None) -> Figure:
    """How many claims are right against how many rows of the class are found, for every threshold."""
    title = f"Finding “{names[1]}”" if scored.task == "binary" else "Finding each class"
    figure, axes = new_figure(literal(f"{title}: precision and recall", 60))
    if scored.task == "binary":
        base = float(np.average(scored.truth == 1, weights=scored.weight))
        axes.axhline(base, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        _compare(axes, scored, boosting, _recall_points, "average_precision", "average precision", (0.03, 0.06))
    else:
        _by_class(axes, scored, names, _recall_points, "average_precision", (0.03, 0.06))
    axes.set(xlabel="Recall: share of the class's rows found", ylabel="Precision: share of claims that are right")
    return _squared(figure, axes)


def confusion(scored: Scored, names: Sequence[str]) -> Figure:
    """What rows of each class were taken for, as shares of the class; of more than 30 classes the most confused."""
    counts = confusion_matrix(
        scored.truth, scored.labels, labels=np.arange(len(names)), sample_weight=scored.weight
    ).astype(float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    shown, title = np.arange(len(names)), "What each class was taken for"
    if len(names) > MOST_LABELLED:
        shown, title = most_confused(counts), f"{title}: the {MOST_LABELLED} most confused of {len(names)} classes"
    counts, shares = counts[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    side = min(9.0, max(4.4, 2.6 + 0.22 * len(shown)))
    figure, axes = new_figure(title, (side + 0.8, side))
    _fill_cells(axes, shares)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    if len(shown) <= MOST_NUMBERED:
        _number_cells(axes, counts, shares)
    labels = [literal(names[int(i)], 16 if len(shown) <= MOST_NUMBERED else 30) for i in shown]
    upright = max(map(len, labels)) < 5 or len(shown) < 4
    tilt = {"ha": "center"} if upright else {"ha": "right", "rotation": 50, "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(shown)), labels, **tilt)
    axes.set_yticks(np.arange(len(shown)), labels)
    axes.set(xlabel="Predicted class", ylabel="True class")
    return figure


def most_confused(counts: Floats) -> Indices:
    """The 30 classes, in their order, with the most rows beside the diagonal [C, C]: of them, or taken for them."""
    beside = counts - np.diag(np.diag(counts))
    return np.sort(np.argsort(-(beside.sum(axis=0) + beside.sum(axis=1)), kind="stable")[:MOST_LABELLED])


def scores(scored: Scored, names: Sequence[str]) -> Figure:
    """Distribution of the model's probabilities, apart for rows where it should be high and where it should be low."""
    if scored.task == "binary":
        value, right = scored.probabilities[:, 1], scored.truth == 1
        title, label = "How far apart the classes are", f"Predicted probability of “{names[1]}”"
        parts = (names[1], names[0])
    else:
        value, right = scored.probabilities.max(axis=1), scored.labels == scored.truth
        title, label = "How sure the model is, when right and when wrong", "Highest probability"
        parts = ("right", "wrong")
    figure, axes = new_figure(title)
    edges = np.linspace(0, 1, 31).tolist()
    for rows, color in ((right, MODEL), (~right, RIVAL)):
        if rows.any():
            share = np.full(int(rows.sum()), 1 / rows.sum())
            axes.hist(value[rows], edges, weights=share, color=color, alpha=0.55, edgecolor=color, linewidth=0.6)
    lines = [
        (f"{literal(parts[0])} ({right.sum():,} rows)", MODEL),
        (f"{literal(parts[1])} ({(~right).sum():,} rows)", RIVAL),
    ]
    corner = (0.97, 0.97) if np.median(value) < 0.5 else (0.03, 0.97)
    name_lines(axes, lines, corner, up=False)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel=literal(label, 60), ylabel="Share of those rows", xlim=(0, 1))
    return figure


def _compare(
    axes: Axes, scored: Scored, boosting: Scored | None, curve: Curve, name: str, spoken: str, at: tuple[float, float]
) -> None:
    value = metric(name)
    lines = [(f"this model: {spoken} {value(scored):.3f}", MODEL)]
    if boosting is not None:
        axes.plot(*curve(boosting, 1), color=RIVAL, linewidth=1.4)
        lines.append((f"gradient boosting: {value(boosting):.3f}", RIVAL))
    axes.plot(*curve(scored, 1), color=MODEL, linewidth=2.2)
    name_lines(axes, [*lines, ("dashed: guessing", FAINT)], at)


def _by_class(
    axes: Axes, scored: Scored, names: Sequence[str], curve: Curve, name: str, at: tuple[float, float]
) -> None:
    """The classes that are hardest to find, all alike, the hardest by name."""
    values = np.array([getattr(row, name) for row in per_class(scored, names)])
    known = np.flatnonzero(~np.isnan(values))
    by_value = known[np.argsort(values[known], kind="stable")]
    hardest = by_value[0]
    for index in by_value[:MOST_CURVES]:
        axes.plot(*curve(scored, int(index)), color=MODEL, linewidth=1.0, alpha=0.45)
    axes.plot(*curve(scored, int(hardest)), color=RIVAL, linewidth=2.0)
    spoken = "ROC AUC" if name == "roc_auc" else "average precision"
    mean = f"{len(known)} classes: {spoken} {values[known].mean():.3f} on average"
    name_lines(axes, [(mean, MODEL), (f"hardest, {literal(names[int(hardest)])}: {values[hardest]:.3f}", RIVAL)], at)


def _roc_points(scored: Scored, index: int) -> tuple[Floats, Floats]:
    false, true, _ = roc_curve(scored.truth == index, scored.probabilities[:, index], sample_weight=scored.weight)
    return _thinned(false, true)


def _recall_points(scored: Scored, index: int) -> tuple[Floats, Floats]:
    precision, recall, _ = precision_recall_curve(
        scored.truth == index, scored.probabilities[:, index], sample_weight=scored.weight
    )
    return _thinned(recall, precision)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).astype(int))
    return x[kept], y[kept]


def _squared(figure: Figure, axes: Axes) -> Figure:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    return figure


def _fill_cells(axes: Axes, shares: Floats) -> None:
    """Right decisions in one colour, mix-ups in the other; these on a scale of their own, as they should be rare."""
    diagonal = np.eye(len(shares), dtype=bool)
    most = max(FULL_MIX_UP, float(shares[~diagonal].max(initial=0)))
    for cells, color, full in ((diagonal, MODEL, 1.0), (~diagonal, RIVAL, most)):
        fill = LinearSegmentedColormap.from_list("fill", [to_rgba(color, 0), to_rgba(color, 1)])
        axes.imshow(np.where(cells, shares, np.nan), cmap=fill, vmin=0, vmax=full, aspect="auto")


def _number_cells(axes: Axes, counts: Floats, shares: Floats) -> None:
    """Counts in the cells, with the share where there is room; white on dark cells of the diagonal."""
    roomy = len(counts) <= 4
    for (row, column), count in np.ndenumerate(counts):
        if count:
            text = f"{count:,.0f}" + (f"\n{shares[row, column]:.1%}" if roomy else "")
            color = "white" if row == column and shares[row, column] > 0.55 else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=12 if roomy else 9, color=color)
