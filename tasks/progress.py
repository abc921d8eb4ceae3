"""Progress bars on standard error, for people: nothing is drawn where it is no terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Moves a bar to `done` and shows a short text beside it."""

    def __call__(self, done: int, text: str = "") -> None:
        """Draws the new state."""


@contextmanager
def progress(title: str, total: int | None, *, time_left: bool = False) -> Iterator[Advance]:
    """A bar of `total` steps (None: unknown) for as long as the block runs; an estimate of the time left if asked."""
    if not sys.stderr.isatty():
        yield lambda done, text="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    shown = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn())
    left = (TextColumn("left"), TimeRemainingColumn()) if time_left and total is not None else ()
    columns: tuple[ProgressColumn, ...] = (*shown, *left)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, text="")
        yield lambda done, text="": bar.update(task, completed=done, text=text)
