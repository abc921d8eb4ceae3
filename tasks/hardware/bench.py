"""Rows and graphs in a folder, and processes that measure in turns, so that a busy moment hits all points alike."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Contract
from models.errors import OutsideError
from tasks.hardware.points import Point
from tasks.hardware.precision import Precision
from tasks.hardware.probe import CHOICE, TEST, Placed
from tasks.scoring.execution import Execution
from tasks.scoring.predictor import Predictions

PATIENCE_SECONDS = 900
"""For one process: engines of some providers take minutes to build."""
START = "import sys; sys.path.insert(0, sys.argv[1]); from tasks.hardware.probe import main; main(sys.argv[2:])"
ROOT = Path(__file__).resolve().parents[2]


class ProbeError(Exception):
    """A process could not do what it was asked; the text says why, in one line."""


@dataclass(frozen=True)
class Round:
    """What one process has measured."""

    load_seconds: float
    latencies_ms: tuple[float, ...]
    rows_per_second: float
    peak_mb: float
    beside: float | None = None
    """How far a row's prediction alone is from that among others; in the first round alone."""


@dataclass(frozen=True)
class Bench:
    """A folder with the contract, rows to choose by, test and calibration rows, and a graph for each precision."""

    folder: Path
    contract: Contract

    def graph(self, precision: Precision) -> Path:
        """Where the graph of that precision is."""
        return self.folder / f"{precision}.onnx"

    def convert(self, precision: Precision) -> None:
        """Makes the graph of that precision from that of float32. Raises ProbeError where it can't be made."""
        source, target = self.graph("float32"), self.graph(precision)
        self._ask("convert", graph=str(source), precision=precision, target=str(target))

    def place(self, precision: Precision, execution: Execution) -> list[Placed]:
        """Which provider ran which operators. Raises ProbeError where the graph can't be run."""
        found = self._ask("place", graph=str(self.graph(precision)), execution=asdict(execution))
        return [Placed(**each) for each in found]

    def measure(self, point: Point, seconds: float, answers: Path | None = None) -> Round:
        """One round of a point; with its answers in that folder. Raises ProbeError where it can't be run."""
        found = self._ask(
            "measure", graph=str(self.graph(point.precision)), execution=asdict(point.execution), seconds=seconds,
            answers=str(answers) if answers else None,
        )  # fmt: skip
        return Round(**{**found, "latencies_ms": tuple(found["latencies_ms"])})

    def size_mb(self, precision: Precision) -> float:
        """Millions of bytes of the graph."""
        return self.graph(precision).stat().st_size / 1e6

    def _ask(self, what: str, **asked: Any) -> Any:
        words = [sys.executable, "-I", "-c", START, str(ROOT), what, json.dumps({"folder": str(self.folder), **asked})]
        try:
            done = subprocess.run(
                words, cwd=self.folder, env=os.environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise ProbeError(f"gave no answer within {PATIENCE_SECONDS} s") from None
        except OSError as error:
            raise OutsideError(f"a process that measures can't be started: {error.strerror}") from None
        if done.returncode < 0:
            raise ProbeError(
                f"its process was killed by {signal.Signals(-done.returncode).name}; memory may have run out"
            )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise ProbeError(said[-1] if said else f"its process ended with exit code {done.returncode}")
        return json.loads(done.stdout.splitlines()[-1])


@dataclass(frozen=True)
class Sampled:
    """All rounds of a point, and its answers."""

    point: Point
    rounds: tuple[Round, ...]
    choice: Predictions
    """For the rows that points are chosen by."""
    test: Predictions


def in_turns(
    bench: Bench,
    points: Sequence[Point],
    rounds: int,
    seconds: float,
    on_failure: Callable[[Point, str], None],
    on_done: Callable[[], None] = lambda: None,
) -> Iterator[Sampled]:
    """Each point in a process of its own in each round. Points that can't be run are told of, and left out."""
    found: dict[int, list[Round]] = {place: [] for place in range(len(points))}
    for turn in range(rounds):
        for place in list(found):
            answers = bench.folder / f"answers-{place}" if turn == 0 else None
            try:
                found[place].append(bench.measure(points[place], seconds, answers))
            except ProbeError as error:
                del found[place]
                on_failure(points[place], str(error))
            on_done()
    for place, measured in found.items():
        given = bench.folder / f"answers-{place}"
        yield Sampled(points[place], tuple(measured), _read(given, CHOICE), _read(given, TEST))


def _read(answers: Path, rows: str) -> Predictions:
    with np.load(answers / f"{rows}.npz", allow_pickle=False) as found:
        held: Mapping[str, Any] = {name: found.get(name) for name in Predictions.__annotations__}
    return Predictions(**held)
