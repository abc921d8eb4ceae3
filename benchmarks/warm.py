"""How much sooner a training comes to its goal that begins with the champion's weights, after 20 % new rows.

    make bench NAME=warm
    .venv/bin/python -m benchmarks.warm --rows 3000 --seeds 1      # a quick look, not an official result
    .venv/bin/python -m benchmarks.warm --tuned      # the rows and seeds that warm starts were tuned on

For each seed: a model is trained on five sixths of the rows; then on all of them, with random weights and with those
of the first one. The goal is the least validation loss of the cold run; what counts are the epochs until a run is
there, of the cold one those until its best. The table Adult is measured too where the folder of public data sets has
it; PERENNIAL_BENCH_DATA names that, `../shared/data` beside the checkout if not set.
"""

import math
import os
import statistics
import sys
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import typer

from benchmarks.measuring.reporting import ROOT, Figure, report, temporary_home
from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file
from flows.environment import PATIENT

ROWS, SEEDS = 9_000, 3
HELD_OUT = 100
"""First of the seeds that nothing was tuned on."""
GROWTH = 1.2
NETWORK = "[network]\nwidth = 64\nmembers = 4\n"
"""Smaller than the default, so that nine trainings take minutes."""


def main(
    rows: Annotated[int, typer.Option(help="Rows of each table in the end.")] = ROWS,
    seeds: Annotated[int, typer.Option(help="Trainings of each sort.")] = SEEDS,
    tuned: Annotated[bool, typer.Option(help="Take the rows and seeds that warm starts were tuned on.")] = False,
) -> None:
    """Trains cold and warm on tables that have grown."""
    # Before torch is loaded, as the command line does it.
    os.environ.update({key: os.environ.get(key, value) for key, value in PATIENT.items()})
    figures = []
    with temporary_home() as home:
        first = 0 if tuned else HELD_OUT
        for name, target, table in _tables(home, rows, tuned):
            pairs = [_epochs(home / f"{name}-{seed}", table, target, seed) for seed in range(first, first + seeds)]
            shares = [warm / cold for cold, warm in pairs]
            figures += [
                Figure(f"{name}: epochs of the cold run", statistics.mean(c for c, _ in pairs), "epochs", "lower"),
                Figure(f"{name}: of the warm run", statistics.mean(w for _, w in pairs), "epochs", "lower"),
                Figure(f"{name}: warm over cold, median", statistics.median(shares), "ratio", "lower", 0.5, 0.25),
                Figure(f"{name}: warm over cold, worst", max(shares), "ratio", "lower"),
            ]
    title = f"{rows:,} rows after 20 % were added, {seeds} seeds"
    sys.exit(report("warm", title, figures, official=rows >= ROWS and seeds >= SEEDS and not tuned))


def _tables(home: Path, rows: int, tuned: bool) -> list[tuple[str, str, pa.Table]]:
    """Name, target and rows in random order."""
    made = pq.read_table(write_table(home / "made.parquet", rows, seed=0 if tuned else HELD_OUT)).drop_columns(["key"])
    found = [("made up", TARGET, made)]
    adult = Path(os.environ.get("PERENNIAL_BENCH_DATA") or ROOT.parent / "shared" / "data") / "adult" / "train.csv"
    if adult.is_file():
        table = pa.csv.read_csv(adult)
        found.append(("adult", table.column_names[-1], table.slice(0 if tuned else rows, rows)))
    return found


def _epochs(folder: Path, table: pa.Table, target: str, seed: int) -> tuple[float, float]:
    """Epochs until the cold run is at its least validation loss, and until the warm run is there: inf if never."""
    from tasks.training.job import HERITAGE

    folder.mkdir()
    keyed = table.append_column("row", pa.array(range(len(table))))
    extra = f"{NETWORK}[training]\nseed = {seed}\n"
    pq.write_table(keyed.slice(0, round(len(table) / GROWTH)), folder / "rows.parquet")
    file = new_model_file([folder / "rows.parquet"], target, "warm", folder, extra)
    _fit(file, folder, "first")
    pq.write_table(keyed, folder / "rows.parquet")
    cold = _fit(file, folder, "cold")
    warm = _fit(file, folder, "warm", folder / "first" / HERITAGE)
    goal = min(cold)
    reached = next((epoch for epoch, loss in enumerate(warm, 1) if loss <= goal), math.inf)
    told = f"cold {goal:.4f} in epoch {cold.index(goal) + 1}, warm there in {reached}, its best {min(warm):.4f}"
    print(f"{folder.name}: {told}")
    return cold.index(goal) + 1, reached


def _fit(file: Path, folder: Path, name: str, begin_with: Path | None = None) -> tuple[float, ...]:
    """Validation losses by epoch."""
    from models.modelfile import read_model_file
    from tasks.data.snapshot import ingest, open_snapshot
    from tasks.data.splits import fit_split
    from tasks.training.fit import fit_model

    model_file = read_model_file(file)
    snapshot = open_snapshot(ingest(model_file, folder).manifest)
    (folder / name).mkdir()
    files = folder / name / "checkpoint.pt", folder / name / "trained.pt"
    fitted = fit_model(model_file, snapshot, fit_split(model_file, snapshot), *files, begin_with=begin_with)
    return fitted.validation_loss


if __name__ == "__main__":
    typer.run(main)
