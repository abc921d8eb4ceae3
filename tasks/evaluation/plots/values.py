"""Figures of a regression: predictions beside the truth, and what is left between them."""

import numpy as np
from matplotlib.figure import Figure

from tasks.evaluation.metrics import metric
from tasks.evaluation.plots.style import FAINT, MODEL, RIVAL, SIZE, dress, name_lines, new_figure
from tasks.evaluation.scored import Indices, Scored

MOST_POINTS = 1_500


def predicted_and_true(scored: Scored) -> Figure:
    """Predicted against true values; on the dashed line both agree."""
    figure, axes = new_figure("Predicted and true values")
    shown = _shown(len(scored))
    ends = [float(min(scored.truth.min(), scored.values.min())), float(max(scored.truth.max(), scored.values.max()))]
    axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(
        scored.truth[shown], scored.values[shown], "o", color=MODEL, alpha=_alpha(len(shown)), markersize=4, mew=0
    )
    lines = [(f"R² {metric('r2')(scored):.3f}", MODEL), (f"RMSE {metric('rmse')(scored):.4g}", MODEL)]
    name_lines(axes, lines, (0.03, 0.97), up=False)
    axes.set(xlabel="True value", ylabel="Predicted value")
    return figure


def residuals(scored: Scored) -> Figure:
    """Errors by predicted value, and their distribution at the side."""
    figure = Figure(figsize=SIZE, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3.2, 1])
    dress(left, "Errors, by predicted value")
    dress(right)
    error = scored.values - scored.truth
    shown = _shown(len(scored))
    left.axhline(0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    left.plot(scored.values[shown], error[shown], "o", color=MODEL, alpha=_alpha(len(shown)), markersize=4, mew=0)
    mean = float(np.average(error, weights=scored.weight))
    left.axhline(mean, color=RIVAL, linewidth=1.4)
    name_lines(left, [(f"mean error {mean:.3g}", RIVAL)], (0.03, 0.97), up=False)
    right.hist(error, 30, orientation="horizontal", color=MODEL, alpha=0.55)
    left.set(xlabel="Predicted value", ylabel="Error (predicted less true)")
    right.set(xlabel="Rows")
    return figure


def _shown(rows: int) -> Indices:
    """Evenly spread rows, as many as can be told apart."""
    return np.unique(np.linspace(0, rows - 1, min(rows, MOST_POINTS)).astype(np.int64))


def _alpha(points: int) -> float:
    return float(np.clip(200 / points, 0.25, 0.7))
