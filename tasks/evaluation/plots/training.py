"""Figures about the model rather than its predictions: what it uses, and how it learnt."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.evaluation.importance import Importance
from tasks.evaluation.metrics import NAMES
from tasks.evaluation.plots.style import FAINT, INK, MODEL, RIVAL, literal, new_figure

MOST_COLUMNS = 15


def importance(found: Sequence[Importance], metric_name: str) -> Figure:
    """What shuffling each column costs, the 15 most important ones, with the spread over repeats."""
    shown = found[:MOST_COLUMNS]
    figure, axes = new_figure("What the model relies on", (6.0, 1.5 + 0.27 * len(shown)))
    places = np.arange(len(shown))[::-1]
    drops = [column.drop for column in shown]
    axes.barh(places, drops, height=0.62, color=MODEL, alpha=0.75)
    axes.errorbar(drops, places, xerr=[c.spread for c in shown], fmt="none", ecolor=INK, elinewidth=1.2, alpha=0.7)
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.set_yticks(places, [literal(column.column) for column in shown])
    axes.grid(False, axis="y")
    axes.set(xlabel=f"{NAMES[metric_name]}:\nhow much worse when the column is shuffled")
    return figure


def learning_curves(train_loss: Sequence[float], validation_loss: Sequence[float], best_epoch: int) -> Figure:
    """Loss by epoch on training and validation rows; the vertical line marks the epoch that was kept."""
    figure, axes = new_figure("How it learnt")
    epochs = np.arange(1, len(validation_loss) + 1)
    ends = [losses[-1] for losses in (train_loss, validation_loss) if len(losses)]
    for losses, name, color in ((train_loss, "training", FAINT), (validation_loss, "validation", MODEL)):
        if len(losses):
            # The names stand apart, however close the lines end.
            side = "bottom" if losses[-1] == max(ends) else "top"
            axes.plot(epochs[: len(losses)], losses, color=color, linewidth=1.8, marker="o" if len(losses) == 1 else "")
            axes.annotate(name, (epochs[len(losses) - 1], losses[-1]), (6, 0), textcoords="offset points", color=color,
                          fontsize=10, va=side, annotation_clip=False)  # fmt: skip
    if best_epoch:
        axes.axvline(best_epoch, color=RIVAL, linewidth=1.2)
        axes.annotate(f"kept: epoch {best_epoch}", (best_epoch, 1), (-5, -12), xycoords=("data", "axes fraction"),
                      textcoords="offset points", color=RIVAL, fontsize=10, ha="right")  # fmt: skip
    axes.set_xlim(0.5, len(validation_loss) * 1.16 + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="Epoch", ylabel="Loss (lower is better)")
    return figure
