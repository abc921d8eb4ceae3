"""A version in the caller's own process: in a vehicle, a gateway, a script."""

from collections.abc import Sequence
from pathlib import Path

from models.contract import Contract
from models.errors import InputError
from tasks.scoring.execution import execution_of
from tasks.scoring.onerow import one_row
from tasks.scoring.predictor import Predictor as GraphPredictor
from tasks.scoring.rows import Row, RowReader
from tasks.serving.answers import Answer, Answers


class Predictor:
    """Answers rows of raw columns; holds no state between calls, so threads may share it.

    >>> Predictor.load("models:/churn@champion").predict([{"age": 41, "plan": "basic"}])
    [{'label': 'stays', 'probability': 0.93, 'probabilities': {'leaves': 0.07, 'stays': 0.93}}]
    """

    def __init__(self, graph: GraphPredictor, version: str | None = None) -> None:
        self.graph, self.version = graph, version
        self.reader, self._answers = RowReader(graph.contract), Answers(graph.contract)
        self._one = one_row(graph, self.reader, self._answers.first)

    @classmethod
    def load(cls, place: str | Path) -> "Predictor":
        """The version in a folder, or of NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI.

        It runs as a measurement of the registered version has chosen. Raises InputError where there is none, or where
        its files are not those that were registered, ProviderError where what it was measured on is not here.
        """
        if Path(place).is_dir():
            return cls(GraphPredictor.load(Path(place)))
        if isinstance(place, Path):
            raise InputError(f"{place}: no such folder; give the folder of a version, or a name in the registry")
        # Only what comes from the registry waits for MLflow to be loaded.
        from tasks.registry.versions import downloaded, resolve

        version = resolve(place)
        with downloaded(version) as folder:
            graph = GraphPredictor.load(folder, version.sha256, execution=execution_of(version))
            return cls(graph, version.number)

    @property
    def contract(self) -> Contract:
        """What the version takes and returns."""
        return self.graph.contract

    def predict(self, rows: Sequence[Row]) -> list[Answer]:
        """One answer a row: `label`, its `probability` and the `probabilities` by class, or `value`.

        Each row has every column of the model by name, see `RowReader.read_rows`. Raises RowsError, an InputError that
        names column and row, for what can't be scored.
        """
        if not rows:
            return []
        if len(rows) == 1 and (answer := self._one(rows[0])) is not None:
            return [answer]
        return self._answers.of(self.graph.run(self.reader.read_rows(rows)))
