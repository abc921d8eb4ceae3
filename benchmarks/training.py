"""What the platform's training loop costs over a bare one with the same network, batches and data.

    make bench NAME=training
    .venv/bin/python -m benchmarks.training --rows 3000 --pairs 2      # a quick look, not an official result

Both times are whole: they hold the validation pass and the copy of the best weights; ours also the checkpoint of each
epoch, its report and the checks.
"""

import os
import statistics
import sys
from typing import Annotated

import typer

from benchmarks.measuring.reporting import Figure, report, temporary_home
from flows.environment import PATIENT

ROWS, PAIRS = 16_000, 9


def main(
    rows: Annotated[int, typer.Option(help="Rows of the data, of which 65 % train.")] = ROWS,
    pairs: Annotated[int, typer.Option(help="Interleaved pairs.")] = PAIRS,
) -> None:
    """Times both loops in turns and compares them pair by pair."""
    # Before torch is loaded, as the command line does it.
    os.environ.update({key: os.environ.get(key, value) for key, value in PATIENT.items()})
    from benchmarks.measuring.loops import EPOCHS, measure, prepare_rows

    with temporary_home() as home:
        model_file, prepared = prepare_rows(home, rows)
        network = prepared.build(model_file)
        ours, bare = measure(model_file, prepared, network, pairs)
    trained = len(prepared.train) * EPOCHS
    ratios = [b / o for o, b in zip(ours, bare, strict=True)]
    figures = [
        Figure("rows/s, platform", trained / statistics.median(ours), "rows/s", "higher"),
        Figure("rows/s, bare loop", trained / statistics.median(bare), "rows/s", "higher"),
        Figure("platform over bare loop", statistics.median(ratios), "ratio", "higher", 0.95, 1.0),
    ]
    title = f"{len(prepared.train):,} rows, {EPOCHS} epochs, default network, median of {pairs} interleaved pairs"
    sys.exit(report("training", title, figures, official=rows >= ROWS and pairs >= 7))


if __name__ == "__main__":
    typer.run(main)
