"""What is left of a scoring run after kills, outages, full disks and inputs that change: rows lost, twice, redone.

    make bench NAME=faults
    .venv/bin/python -m benchmarks.faults --kills 5                    # a quick look, not an official result

Every run is of many small shards, and compared row by row with one that nothing happened to.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from benchmarks.measuring import mishaps
from benchmarks.measuring.killing import Kills, kill_at_random
from benchmarks.measuring.light import export_light
from benchmarks.measuring.mishaps import Bench, Outcome
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.tables import write_table

ROWS, SHARD_ROWS, KILLS, BETWEEN, TRAINING_ROWS = 200_000, 4096, 50, 30, 6_000
SEED = 0
MISHAPS: dict[str, Callable[[Bench], Outcome]] = {
    "S3 server gone for 20 s": mishaps.store_gone,
    "output disk full": mishaps.disk_full,
    "input file replaced": mishaps.input_replaced,
    "input file truncated": mishaps.input_truncated,
}


def main(
    kills: Annotated[int, typer.Option(help="Kills at random moments.")] = KILLS,
    only: Annotated[list[str] | None, typer.Option(help="Names of mishaps besides; all if not given.")] = None,
) -> None:
    """Kills runs, then lets everything else happen to some."""
    with temporary_home() as home:
        bench = _prepare(home)
        figures = _killed(kill_at_random(bench, kills, random.Random(SEED)), kills)
        for name in only or MISHAPS:
            figures += _happened(name, MISHAPS[name](bench))
            print(f"{name}: done", file=sys.stderr, flush=True)
    title = f"{ROWS:,} rows in {ROWS // SHARD_ROWS + 1} shards"
    sys.exit(report("faults", title, figures, official=kills >= KILLS and not only))


def _prepare(home: Path) -> Bench:
    learnt = write_table(home / "learnt.parquet", TRAINING_ROWS, seed=0)
    export_light(pq.read_table(learnt), home / "package")
    whole = pq.read_table(write_table(home / "whole.parquet", ROWS, seed=1, labelled=False))
    pq.write_table(whole, home / "rows.parquet", row_group_size=SHARD_ROWS)
    return Bench.begin(home, home / "package", home / "rows.parquet", SHARD_ROWS)


def _killed(found: Kills, kills: int) -> list[Figure]:
    between = min(BETWEEN, kills * BETWEEN // KILLS)
    return [
        Figure("kills", found.kills, "kills", "higher", kills, kills),
        Figure("kills between the first and the last shard", found.between, "kills", "higher", between, between),
        Figure("kills: rows lost", found.outcome.lost, "rows", "lower", 0, 0),
        Figure("kills: rows twice", found.outcome.twice, "rows", "lower", 0, 0),
        Figure("kills: rows that differ", found.outcome.differ, "rows", "lower", 0, 0),
        Figure("kills: shards redone, at most", found.redone, "shards", "lower", 1, 1),
    ]


def _happened(name: str, outcome: Outcome) -> list[Figure]:
    figures = [
        Figure(f"{name}: rows lost, twice or different", outcome.wrong, "rows", "lower", 0, 0),
    ]
    if outcome.lines is not None:
        figures += [
            Figure(f"{name}: lines told", outcome.lines, "lines", "lower", 1, 1),
            Figure(f"{name}: files visible before it was mended", outcome.visible, "files", "lower", 0, 0),
        ]
    return figures


if __name__ == "__main__":
    typer.run(main)
