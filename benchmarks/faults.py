"""What is left of a scoring run after kills, outages, full disks and inputs that change: rows lost, twice, redone.

    make bench NAME=faults
    .venv/bin/python -m benchmarks.faults --kills 5                    # a quick look, not an official result

Every run is of many small shards, and compared row by row with one that nothing happened to.
"""

import random
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from benchmarks.measuring import mishaps
from benchmarks.measuring.bench import KEY, Bench
from benchmarks.measuring.command import Command
from benchmarks.measuring.killing import Kills, Start, Way, kill_at_random, together
from benchmarks.measuring.light import export_light
from benchmarks.measuring.outcome import Outcome
from benchmarks.measuring.postgres import postgres_server
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.tables import write_table

ROWS, SHARD_ROWS, KILLS, BETWEEN, TRAINING_ROWS = 200_000, 4096, 50, 30, 6_000
SEED = 0
EARLY_SECONDS, COMMAND_SECONDS = 3.0, 12.0
"""An early kill of a bare run comes within so many seconds, one of the command, which starts servers, within more."""
SHARES = {
    "files": 0.4,
    "the command, files": 0.1,
    "PostgreSQL": 0.3,
    "Parquet to PostgreSQL": 0.1,
    "the command, PostgreSQL": 0.1,
}
"""Of the kills; bare runs have neither Prefect nor MLflow around them and so take less time."""
MISHAPS: dict[str, Callable[[Bench], Outcome | None]] = {
    "S3 server gone for 20 s": mishaps.store_gone,
    "PostgreSQL restarted": mishaps.postgres_restarted,
    "MLflow server gone": mishaps.mlflow_gone,
    "Ray worker killed": mishaps.ray_worker_killed,
    "output disk full": mishaps.disk_full,
    "input file replaced": mishaps.input_replaced,
    "input file truncated": mishaps.input_truncated,
}
"""Each is None where what it takes is not installed."""


def main(
    kills: Annotated[int, typer.Option(help="Kills at random moments.")] = KILLS,
    only: Annotated[list[str] | None, typer.Option(help="Names of mishaps besides; all if not given.")] = None,
) -> None:
    """Kills runs, then lets everything else happen to some."""
    with temporary_home() as home, ExitStack() as stack:
        bench = _prepare(home, stack)
        figures = _killed(kill_each_way(bench, kills), kills)
        for name in MISHAPS if only is None else only:
            outcome = MISHAPS[name](bench)
            figures += _happened(name, outcome) if outcome else []
            print(f"{name}: {'done' if outcome else 'left out'}", file=sys.stderr, flush=True)
    title = f"{ROWS:,} rows in {bench.shards} shards"
    sys.exit(report("faults", title, figures, official=kills >= KILLS and only is None))


def kill_each_way(bench: Bench, kills: int) -> Kills:
    """Shares the kills among the ways, those of missing servers among the others."""
    ways, chance = _ways(bench), random.Random(SEED)
    left, weight, found = kills, sum(SHARES[name] for name in ways), []
    for name, way in ways.items():
        share = round(left * SHARES[name] / weight)
        left, weight = left - share, weight - SHARES[name]
        found.append(kill_at_random(name, way, share, chance))
    return together(found)


def _ways(bench: Bench) -> dict[str, Way]:
    command = Command(bench.home / "command")
    command.register(bench.package, bench.learnt)

    def scored(data: str, key: str | None) -> Start:
        return lambda output: command.start(data, output, bench.shard_rows, key)

    data = str(bench.data)
    bare = Way(bench.start, bench.place, bench.due, bench.shard_rows, EARLY_SECONDS)
    whole = replace(bare, start=scored(data, None), early_seconds=COMMAND_SECONDS)
    ways = {"files": bare, "the command, files": whole}
    if bench.tables:
        tables = bench.tables
        to_tables = replace(bare, place=tables.place, due=tables.due)
        ways["PostgreSQL"] = replace(to_tables, start=partial(bench.start, data=tables.data, key=KEY))
        ways["Parquet to PostgreSQL"] = to_tables
        ways["the command, PostgreSQL"] = replace(
            to_tables, start=scored(tables.data, KEY), early_seconds=COMMAND_SECONDS
        )
    return ways


def _prepare(home: Path, stack: ExitStack) -> Bench:
    learnt = write_table(home / "learnt.parquet", TRAINING_ROWS, seed=0)
    export_light(pq.read_table(learnt), home / "package")
    whole = pq.read_table(write_table(home / "whole.parquet", ROWS, seed=1, labelled=False))
    pq.write_table(whole, home / "rows.parquet", row_group_size=SHARD_ROWS)
    bench = Bench(home, home / "package", learnt, home / "rows.parquet", SHARD_ROWS)
    bench = replace(bench, due=bench.undisturbed())
    try:
        server = stack.enter_context(postgres_server())
    except FileNotFoundError as error:
        print(f"{error}: left out", file=sys.stderr, flush=True)
        return bench
    tables = bench.in_postgres(server)
    stack.callback(tables.looks.close)
    return replace(bench, tables=tables)


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
