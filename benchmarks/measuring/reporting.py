"""What every measurement ends with: a table for people, rows of JSON for machines, and an exit code."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

Better = Literal["higher", "lower"]
ROOT = Path(__file__).resolve().parents[2]
MISSED, NO_DATA = 1, 3
"""Exit codes: a figure fell short of what it must reach; the data to measure on is not there."""


@dataclass(frozen=True)
class Figure:
    """One measured number, with what it must reach and aims for; both None where it is only told."""

    what: str
    value: float
    unit: str
    better: Better
    must: float | None = None
    aim: float | None = None

    def reaches(self, bound: float | None) -> bool:
        """Whether the value is at least as good as the bound; nothing is asked where there is none."""
        if bound is None:
            return True
        return self.value >= bound if self.better == "higher" else self.value <= bound

    @property
    def verdict(self) -> str:
        """In a word, how the value stands to its bounds."""
        if self.must is None and self.aim is None:
            return ""
        if not self.reaches(self.must):
            return "MISSED"
        return "aim" if self.reaches(self.aim) else "must"


def report(name: str, title: str, figures: Sequence[Figure], official: bool = True) -> int:
    """The exit code, after the table is printed and the rows are written to `bench_folder()/NAME.json`.

    A measurement that was cut short is not official: its title says so, it is written to NAME.partial.json, and nothing
    is judged by it.
    """
    heading = f"{name}: {title}" if official else f"{name}: {title} - CUT SHORT, NOT AN OFFICIAL RESULT"
    Console(width=140).print(_table(heading, figures))
    path = bench_folder() / (f"{name}.json" if official else f"{name}.partial.json")
    write_rows(path, figures)
    print(f"written to {path}")
    return MISSED if official and not all(figure.reaches(figure.must) for figure in figures) else 0


def write_rows(path: Path, figures: Sequence[Figure]) -> None:
    """The figures as a JSON list of objects with what, value, unit, better, must and aim."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n", encoding="utf-8")


def bench_folder() -> Path:
    """Where results are kept: `bench` under PERENNIAL_HOME, which is `.perennial` in the checkout if not set."""
    return Path(os.environ.get("PERENNIAL_HOME") or ROOT / ".perennial").expanduser().resolve() / "bench"


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A state folder for one measurement; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        yield Path(folder).resolve()


def _table(heading: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=heading, title_justify="left", title_style="bold")
    table.add_column("what")
    for name in ("value", "must", "aim"):
        table.add_column(name, justify="right")
    for name in ("unit", ""):
        table.add_column(name)
    for figure in figures:
        sign = "≥ " if figure.better == "higher" else "≤ "
        bounds = ("" if bound is None else f"{sign}{_number(bound)}" for bound in (figure.must, figure.aim))
        table.add_row(figure.what, _number(figure.value), *bounds, figure.unit, figure.verdict)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
