"""One version that answers, and what is needed to answer with it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import Contract
from models.errors import InputError, RefusedError
from tasks.scoring.execution import Execution
from tasks.scoring.predictor import Predictions, Predictor
from tasks.scoring.rows import RowReader
from tasks.serving.answers import Answers
from tasks.serving.wanted import Wanted

TRIES = 5
"""Calls before a version answers: the first ones take longer."""


@dataclass(frozen=True)
class Served:
    """A loaded version. Requests hold on to the one they began with."""

    name: str
    """By which callers ask for it."""
    version: str
    graph: Predictor
    reader: RowReader
    answers: Answers
    single_seconds: float
    """That the graph takes for one row."""
    folder: Path
    """The version's files."""

    @property
    def contract(self) -> Contract:
        """What it takes and returns."""
        return self.graph.contract

    @classmethod
    def load(cls, name: str, wanted: Wanted) -> "Served":
        """Loads the version and has it answer a row in which all is missing.

        Raises InputError where its files are not those that were registered, ProviderError where what it was measured
        on is not there, RefusedError where it can't answer.
        """
        version, folder = wanted.version, Path(wanted.folder)
        execution = Execution.from_json(wanted.execution) if wanted.execution else None
        graph = Predictor.load(folder, wanted.sha256, execution=execution)
        reader = RowReader(graph.contract)
        try:
            feed = reader.read_columns({column: [None] for column in reader.columns})
            seconds = min(_timed(graph, feed) for _ in range(TRIES))
        except InputError:
            raise
        except Exception as error:
            # Whatever ONNX Runtime says of a graph that it can't run.
            raise RefusedError(f"{name} version {version} can't answer: {str(error).splitlines()[0]}") from error
        return cls(name, version, graph, reader, Answers(graph.contract), seconds, folder)


def _timed(graph: Predictor, feed: dict[str, NDArray[Any]]) -> float:
    started = time.perf_counter()
    predictions = graph.run(feed)
    seconds = time.perf_counter() - started
    if not np.isfinite(_numbers(predictions)).all():
        raise RefusedError("its predictions are no numbers")
    return seconds


def _numbers(predictions: Predictions) -> NDArray[np.float32]:
    found = predictions.values if predictions.probabilities is None else predictions.probabilities
    return np.empty(0, np.float32) if found is None else found
