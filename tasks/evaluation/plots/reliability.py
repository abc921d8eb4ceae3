"""The reliability diagram: whether promised probabilities come true."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.evaluation.metrics import CALIBRATION_BINS, calibration_bins, metric
from tasks.evaluation.plots.style import FAINT, MODEL, SIZE, dress, literal, name_lines
from tasks.evaluation.scored import Floats, Indices, Scored


def calibration(scored: Scored, names: Sequence[str]) -> Figure:
    """Promised probability against how often it came true, by bin, above the number of rows in each bin."""
    figure = Figure(figsize=SIZE, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    dress(upper, "Do promised probabilities come true?")
    dress(lower)
    bins, confidence, hit = calibration_bins(scored)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)
    weight = np.bincount(bins, weights=scored.weights, minlength=CALIBRATION_BINS)
    used = weight > 0
    promised, true = (
        np.bincount(bins, weights=scored.weights * values, minlength=CALIBRATION_BINS)[used] / weight[used]
        for values in (confidence, hit)
    )
    _draw_bins(upper, promised, true, rows[used])
    name_lines(upper, [(f"calibration error {metric('calibration_error')(scored):.3f}", MODEL)], (0.03, 0.95), up=False)
    centres = (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS
    lower.bar(centres, rows, width=0.9 / CALIBRATION_BINS, color=MODEL, alpha=0.55)
    said = f"Predicted probability of “{names[1]}”" if scored.task == "binary" else "Probability of the likeliest class"
    lower.set(xlabel=literal(said, 60), ylabel="Rows", xlim=(0, 1))
    upper.set(ylabel="Came true (share)", ylim=(0, 1.02))
    return figure


def _draw_bins(axes: Axes, promised: Floats, true: Floats, rows: Indices) -> None:
    """Bins as points, larger where there are more rows, with the 95 % range of the share (Wilson 1927)."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    low, high = _wilson(true, rows)
    axes.vlines(promised, low, high, color=MODEL, alpha=0.35, linewidth=2)
    axes.plot(promised, true, color=MODEL, linewidth=1.0, alpha=0.6)
    axes.scatter(promised, true, s=20 + 80 * rows / rows.max(), color=MODEL, zorder=3, linewidths=0)


def _wilson(share: Floats, rows: Indices) -> tuple[Floats, Floats]:
    z = 1.96
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return centre - reach, centre + reach
