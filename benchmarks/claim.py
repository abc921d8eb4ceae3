"""Whether what `perennial measure` recommends is what answers fastest, told by wrk, which knows nothing of us.

    make bench NAME=claim
    .venv/bin/python -m benchmarks.claim --few      # one short round, not an official result

A light table model is measured. Then `perennial serve` answers with the settings that were chosen, with the usual ones,
and with the slowest that were measured, in turns; one worker process each. wrk takes its share of the same cores.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from benchmarks.measuring.command import COMMAND, Command, own_environment
from benchmarks.measuring.reporting import NO_DATA, Figure, report, temporary_home
from benchmarks.measuring.serving import serving
from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file, train
from benchmarks.measuring.wrk import Answered, ask_by_wrk, is_installed
from tasks.hardware.results import Measured, read_results
from tasks.scoring.execution import EXECUTION, Execution

MODEL, ROWS = "claim", 4000
CONNECTIONS, BATCH = {1: 10, 512: 4}, 512
"""Connections by the rows of a request."""
ROUNDS, SECONDS = 5, 6.0
NEVER = "86400"
"""Seconds between two looks at the tags of what is served."""
CHOSEN, USUAL, SLOWEST = "chosen", "usual", "slowest"


@dataclass(frozen=True)
class Side:
    """One way to run the model, and what `measure` says of it."""

    version: str
    point: Measured


def main(few: Annotated[bool, typer.Option("--few", help="A quick look.")] = False) -> None:
    """Measures, then asks all sides in turns."""
    if not is_installed():
        print("claim: wrk is not installed; on Debian: apt-get install wrk", file=sys.stderr)
        sys.exit(NO_DATA)
    rounds, seconds = (1, 1.0) if few else (ROUNDS, SECONDS)
    with temporary_home() as home:
        rows = _registered(home, few)
        sides = _sides(home, few)
        found = _asked(home, sides, rows, rounds, seconds)
    told = "; ".join(f"{name}: {side.point.name}" for name, side in sides.items())
    title = f"{rounds} round{'' if few else 's'} of {seconds:g} s; {told}"
    sys.exit(report("claim", title, _figures(sides, found), official=not few))


def _registered(home: Path, few: bool) -> list[dict[str, Any]]:
    """The model is champion of that home; rows for it."""
    data = write_table(home / "rows.parquet", ROWS, seed=0)
    file = new_model_file([data], TARGET, MODEL, home, f"[training]\nepochs = {1 if few else 5}\n")
    train(file, home, home / "scratch")
    Command(home).register(home / "scratch" / "package", data)
    return pq.read_table(data).drop_columns(["key", TARGET]).slice(0, BATCH).to_pylist()  # type: ignore[no-any-return]


def _sides(home: Path, few: bool) -> dict[str, Side]:
    """What was chosen; the usual settings and the slowest of the version's own graph, where these are others."""
    quick = ("--rounds", "1", "--seconds", "0.1") if few else ()
    words = [str(COMMAND), "measure", MODEL, "--register", "--json", "--output", str(home / "measured"), *quick]
    done = subprocess.run(words, env=own_environment(home), stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    (result,) = read_results([Path(told["result"])], MODEL)
    own = [point for point in result.points if point.precision == "float32"]
    chosen = result.to_deploy or result.points[0]
    slowest = min(own, key=lambda point: point.rows_per_second)
    others = {USUAL: own[0], SLOWEST: slowest}
    sides = {name: Side("1", point) for name, point in others.items() if point != chosen}
    if slowest == own[0]:
        sides.pop(SLOWEST, None)
    return {CHOSEN: Side(told["registered"] or "1", chosen)} | sides


def _asked(
    home: Path, sides: Mapping[str, Side], rows: Sequence[Mapping[str, Any]], rounds: int, seconds: float
) -> dict[tuple[str, int], list[Answered]]:
    """What wrk says of each side and size of requests, in rounds."""
    from mlflow import MlflowClient

    client, found = MlflowClient(f"sqlite:///{home}/mlflow.db"), dict[tuple[str, int], list[Answered]]()
    with ExitStack() as stack:
        ports = {}
        for name, side in sides.items():
            # Read when the server starts, which then looks no more.
            client.set_model_version_tag(MODEL, side.version, EXECUTION, Execution.of(side.point.execution).to_json())
            ports[name] = stack.enter_context(serving(home, f"{MODEL}/{side.version}", "--poll-seconds", NEVER)).port
        for turn in range(rounds):
            for name in list(sides)[:: 1 if turn % 2 else -1]:
                for count, connections in CONNECTIONS.items():
                    url, body = f"http://127.0.0.1:{ports[name]}/models/{MODEL}/predict", {"rows": rows[:count]}
                    answered = ask_by_wrk(url, json.dumps(body), connections, seconds)
                    found.setdefault((name, count), []).append(answered)
    return found


def _figures(sides: Mapping[str, Side], found: Mapping[tuple[str, int], list[Answered]]) -> list[Figure]:
    """What each side did, and what was chosen over the others: by `measure`, and by wrk."""
    figures = []
    for name, side in sides.items():
        figures.append(Figure(f"{name}: measure says, batches", side.point.rows_per_second, "rows/s", "higher"))
        figures.append(Figure(f"{name}: measure says, one row", side.point.latency_p50_ms, "ms p50", "lower"))
        for count in CONNECTIONS:
            told = found[name, count]
            what = f"{name}: wrk, requests of {count}" if count > 1 else f"{name}: wrk, single rows"
            rate = statistics.median(one.rate for one in told) * count
            figures.append(Figure(what, rate, "rows/s" if count > 1 else "requests/s", "higher"))
            slowest = statistics.median(one.p99_ms for one in told)
            figures.append(Figure("the same, p99", slowest, "ms", "lower"))
    for other in list(sides)[1:]:
        said = sides[CHOSEN].point.rows_per_second / sides[other].point.rows_per_second
        figures.append(Figure(f"chosen over {other}, as measure says of batches", said, "ratio", "higher"))
        for count in CONNECTIONS:
            gain = statistics.median(
                one.rate / two.rate for one, two in zip(found[CHOSEN, count], found[other, count], strict=True)
            )
            what = f"chosen over {other}, wrk, requests of {count} row{'' if count == 1 else 's'}"
            figures.append(Figure(what, gain, "ratio", "higher", 0.95, 1.0))
    failed = sum(one.failed for several in found.values() for one in several)
    return [*figures, Figure("requests that failed", failed, "requests", "lower", 0, 0)]


if __name__ == "__main__":
    typer.run(main)
