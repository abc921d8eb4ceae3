"""Two versions are judged by one of them: its target, its weights, its order of classes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from models.columns.number.feed import NumberSettings
from models.columns.number.statistics import NumberStatistics
from models.contract import Contract, ContractColumn, SplitSpec
from models.errors import InputError
from models.sections import Task
from tasks.evaluation.metrics import metric
from tasks.evaluation.of_graph import score_rows
from tasks.scoring.predictor import Predictions

ROWS = pa.table(
    {
        "x": [0.1, 0.9, 0.2, 0.8],
        "y": pa.array(["a", "b", "b", "b"]).dictionary_encode(),
        "w": [1.0, 1.0, 8.0, 1.0],
    }
)


@dataclass
class Stand:
    """A predictor whose probability of its last class is the column x."""

    contract: Contract

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        x: NDArray[np.float32] = columns["x"].to_numpy().astype(np.float32)
        return Predictions((x >= 0.5).astype(np.int64), np.stack([1 - x, x], axis=1), None)


def stand(classes: tuple[str, ...], weight: str | None = None, task: Task = "binary") -> Stand:
    statistics = NumberStatistics(count=4, missing=0, median=0, scale=1, edges=(0, 1), quantiles=())
    column = ContractColumn(name="x", settings=NumberSettings(), statistics=statistics)
    split = SplitSpec(rule="hash", columns=("x",), validation=0.1, test=0.2)
    return Stand(
        Contract(
            name="m", task=task, target="y", columns=(column,), missing=(), classes=classes, threshold=0.5,
            weight=weight, split=split, snapshot="s", model_file="m", code="c", graph_sha256="g",
        )
    )  # fmt: skip


def test_weights_are_those_of_the_judging_contract_for_both_sides() -> None:
    challenger, champion = stand(("a", "b"), weight="w"), stand(("a", "b"))
    sides = [score_rows(side, ROWS, challenger.contract) for side in (challenger, champion)]  # type: ignore[arg-type]
    assert [metric("accuracy")(side) for side in sides] == [pytest.approx(3 / 11), pytest.approx(3 / 11)]
    assert score_rows(champion, ROWS).weight is None  # type: ignore[arg-type]


def test_classes_in_another_order_mean_the_same_rows() -> None:
    judged_by = stand(("a", "b")).contract
    turned = score_rows(stand(("b", "a")), ROWS, judged_by)  # type: ignore[arg-type]
    assert turned.labels.tolist() == [1, 0, 1, 0]
    assert turned.probabilities[0].tolist() == pytest.approx([0.1, 0.9])
    assert turned.truth.tolist() == [0, 1, 1, 1]


def test_unknown_classes_and_other_tasks_are_not_compared() -> None:
    with pytest.raises(InputError, match="'c' of one version is unknown to the other"):
        score_rows(stand(("a", "c")), ROWS, stand(("a", "b")).contract)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one version is a binary model, the other a multiclass model"):
        score_rows(stand(("a", "b")), ROWS, stand(("a", "b", "c"), task="multiclass").contract)  # type: ignore[arg-type]
