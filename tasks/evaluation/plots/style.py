"""The look that all figures share: few lines, labels beside what they name, colours that all eyes tell apart."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.evaluation.quiet import quiet

INK = "#334155"
FAINT = "#94a3b8"
MODEL = "#2563eb"
RIVAL = "#e07b00"
"""Blue and orange differ for every kind of colour blindness (Okabe and Ito 2008)."""
SIZE = (6.0, 4.4)
"""Inches."""


def new_figure(title: str, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """An empty figure and its axes, titled at the left."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    dress(axes, title)
    return figure, axes


def dress(axes: Axes, title: str = "") -> None:
    """Gives axes the common look."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=FAINT)
    axes.grid(True, color=FAINT, alpha=0.25, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)


def name_lines(axes: Axes, lines: Sequence[tuple[str, str]], at: tuple[float, float], up: bool = True) -> None:
    """Names (text, colour) stacked in a corner, each in the colour of its line; `at` is in shares of the axes."""
    step = 0.065 if up else -0.065
    for position, (text, color) in enumerate(reversed(lines) if up else lines):
        axes.text(
            at[0],
            at[1] + position * step,
            literal(text, 60),
            color=color,
            fontsize=10,
            fontweight="bold" if position == (len(lines) - 1 if up else 0) else "normal",
            ha="left" if at[0] < 0.5 else "right",
            va="bottom" if up else "top",
            transform=axes.transAxes,
        )


def literal(text: str, most: int = 28) -> str:
    """Text that matplotlib shows as it is, dollar signs included, cut where it is too long."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    short = printable if len(printable) <= most else printable[: most - 1] + "…"
    return short.replace("$", r"\$")


def to_png(figure: Figure, path: Path) -> None:
    """Writes the figure; letters that the font lacks are boxes, without a warning. Raises OSError."""
    with quiet():
        figure.savefig(path, dpi=110)


def to_svg(figure: Figure) -> str:
    """The figure as inline SVG in the page's own colours, so that it suits light and dark pages.

    The page may set the CSS variables `--model` and `--rival`; text has the colour of the text around the figure.
    """
    buffer = io.StringIO()
    with (
        quiet(),
        rc_context({"svg.fonttype": "none", "svg.hashsalt": figure.axes[0].get_title(loc="left"), "font.size": 10}),
    ):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<svg([^>]*?) width="[^"]*"', r"<svg\1", drawn, count=1)
    drawn = re.sub(r'<svg([^>]*?) height="[^"]*"', r"<svg\1", drawn, count=1)
    for color, of_page in ((INK, "currentColor"), (MODEL, f"var(--model, {MODEL})"), (RIVAL, f"var(--rival, {RIVAL})")):
        drawn = drawn.replace(color, of_page)
    return drawn
