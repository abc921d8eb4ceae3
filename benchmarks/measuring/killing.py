"""Scoring runs that are killed at random moments and started again until they come to their end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from benchmarks.measuring.outcome import Outcome, compared
from benchmarks.measuring.places import Place, wait_for_shards
from benchmarks.measuring.victim import require

MOST_SHARDS, PAUSE_SECONDS = 6, 0.05
"""A kill comes behind so many shards at most, and a moment later."""
EARLY = 5
"""One kill in so many comes at any moment, also before the first shard."""

Start: TypeAlias = Callable[[str], "subprocess.Popen[str]"]
"""Begins a run into an output by its URI, or goes on with it."""


@dataclass(frozen=True)
class Way:
    """Runs of one sort."""

    start: Start
    place: Callable[[str], Place]
    """An output by a name."""
    due: pa.Table
    """Predictions of an undisturbed run."""
    shard_rows: int
    early_seconds: float
    """In which an early kill comes."""


@dataclass(frozen=True)
class Kills:
    """What became of all runs together."""

    kills: int
    between: int
    """Kills after the first shard was done and before the last was."""
    redone: int
    """Most shards that a kill has cost: begun and not done, or done again."""
    outcome: Outcome


def together(each: Iterable[Kills]) -> Kills:
    """What became of the runs of several ways."""
    found = list(each)
    lost, twice, differ = (sum(getattr(k.outcome, name) for k in found) for name in ("lost", "twice", "differ"))
    return Kills(
        sum(k.kills for k in found),
        sum(k.between for k in found),
        max((k.redone for k in found), default=0),
        Outcome(lost, twice, differ),
    )


def kill_at_random(name: str, way: Way, kills: int, chance: random.Random) -> Kills:
    """Runs one after the other, until there were so many kills: of the process alone, and of its group, in turns."""
    happened: list[tuple[bool, int]] = []
    outcomes: list[Outcome] = []
    while len(happened) < kills:
        place = way.place(f"killed-{len(outcomes)}")
        _one_run(way, place, kills, chance, happened)
        outcomes.append(compared(place.rows(), way.due))
        told = f"{len(happened)} kills, {len(outcomes)} runs at their end, {outcomes[-1].wrong} wrong rows in the last"
        print(f"{name}: {told}", file=sys.stderr, flush=True)
        place.remove()
    lost, twice, differ = (sum(getattr(outcome, what) for outcome in outcomes) for what in ("lost", "twice", "differ"))
    between, redone = sum(inside for inside, _ in happened), max((cost for _, cost in happened), default=0)
    return Kills(len(happened), between, redone, Outcome(lost, twice, differ))


def _one_run(way: Way, place: Place, most: int, chance: random.Random, happened: list[tuple[bool, int]]) -> None:
    """Adds for each kill whether it came between the first and the last shard, and the shards that it cost."""
    shards = -(-len(way.due) // way.shard_rows)
    while True:
        before, process = place.done(), way.start(place.uri)
        if len(happened) == most or not _comes_to(process, place, chance, way.early_seconds):
            require(process, 0)
            return
        _kill(process, group=bool(len(happened) % 2))
        begun, after = place.begun(way.shard_rows), place.done()
        if place.is_whole():
            # It came too late to change anything.
            happened.append((False, 0))
            return
        again = sum(after.get(name) != mark for name, mark in before.items())
        happened.append((0 < len(after) < shards, again + begun))


def _comes_to(process: "subprocess.Popen[str]", place: Place, chance: random.Random, early_seconds: float) -> bool:
    """Whether the process still runs at a moment of chance."""
    if chance.randrange(EARLY) == 0:
        time.sleep(chance.uniform(0, early_seconds))
    else:
        wait_for_shards(process, place, len(place.done()) + chance.randint(1, MOST_SHARDS))
        time.sleep(chance.uniform(0, PAUSE_SECONDS))
    return process.poll() is None


def _kill(process: "subprocess.Popen[str]", group: bool) -> None:
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    if process.stderr:
        process.stderr.close()
