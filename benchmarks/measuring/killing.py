"""Scoring runs that are killed at random moments and started again until they come to their end."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.mishaps import Bench, Outcome, entries, require, wait_for_shards

MOST_SHARDS, PAUSE_SECONDS, EARLY_SECONDS = 6, 0.05, 3.0
"""A kill comes behind so many shards at most, and a moment later; an early one within the first seconds."""
EARLY = 5
"""One kill in so many comes at any moment, also before the first shard."""


@dataclass(frozen=True)
class Kills:
    """What became of all runs together."""

    kills: int
    between: int
    """Kills after the first shard was done and before the last was."""
    redone: int
    """Most shards that a kill has cost: begun and not done, or done again."""
    outcome: Outcome


def kill_at_random(bench: Bench, kills: int, chance: random.Random) -> Kills:
    """Runs one after the other, until there were so many kills."""
    happened: list[tuple[bool, int]] = []
    outcomes: list[Outcome] = []
    while len(happened) < kills:
        output = bench.home / f"killed-{len(outcomes)}"
        happened += _one_run(bench, output, kills - len(happened), chance)
        outcomes.append(bench.compare(output))
        print(f"{len(happened)} kills, {len(outcomes)} runs came to their end", file=sys.stderr, flush=True)
        shutil.rmtree(output)
    sums = [sum(getattr(outcome, name) for outcome in outcomes) for name in ("lost", "twice", "differ")]
    between = sum(inside for inside, _ in happened)
    return Kills(len(happened), between, max((redone for _, redone in happened), default=0), Outcome(*sums))


def _one_run(bench: Bench, output: Path, most: int, chance: random.Random) -> list[tuple[bool, int]]:
    """For each kill whether it came between the first and the last shard, and the shards that it cost."""
    found: list[tuple[bool, int]] = []
    while True:
        process, before = bench.start(output), _times(output)
        if len(found) == most or not _comes_to(process, output, chance):
            require(process, 0)
            return found
        _kill(process, group=bool(len(found) % 2))
        if output.exists() and not output.with_name(f".{output.name}.partial").exists():
            # It came too late to change anything.
            return [*found, (False, 0)]
        after = _times(output)
        again = sum(after.get(name) != time_ for name, time_ in before.items())
        found.append((0 < len(after) < _shards(bench), again + len(_begun(output) - after.keys())))


def _comes_to(process: "subprocess.Popen[str]", output: Path, chance: random.Random) -> bool:
    """Whether the process still runs at a moment of chance."""
    if chance.randrange(EARLY) == 0:
        time.sleep(chance.uniform(0, EARLY_SECONDS))
    else:
        wait_for_shards(process, output, len(entries(output)) + chance.randint(1, MOST_SHARDS))
        time.sleep(chance.uniform(0, PAUSE_SECONDS))
    return process.poll() is None


def _kill(process: "subprocess.Popen[str]", group: bool) -> None:
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def _shards(bench: Bench) -> int:
    return -(-len(bench.due) // bench.shard_rows)


def _times(output: Path) -> dict[str, int]:
    """When each shard was done."""
    folder = output.with_name(f".{output.name}.partial") / "ledger" / "shards"
    return {name: (folder / f"{name}.json").stat().st_mtime_ns for name in entries(output)}


def _begun(output: Path) -> set[str]:
    """Shards of which there are files, finished or not."""
    work = output.with_name(f".{output.name}.partial") / "out"
    parts = {path.stem.removeprefix("part-") for path in work.glob("predictions/part-*")}
    return parts | {path.name.removeprefix("predictions-") for path in work.glob(".scratch/predictions-*")}
