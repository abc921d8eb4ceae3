import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS
from tasks.evaluation.importance import importance_rows, permutation_importance
from tasks.evaluation.scored import Scored, scored_values
from tasks.evaluation.unseen import Unseen
from tests.contracts import contract_of
from tests.tasks.evaluation.cases import unseen


def predict(table: pa.Table) -> Scored:
    """A model that is twice the first column plus a tenth of the second, and never looks at the third."""
    values = 2 * table["a"].to_numpy() + 0.1 * table["b"].to_numpy()
    return scored_values(table["y"].to_numpy(), values)


def judged(table: pa.Table) -> Unseen:
    return unseen(contract_of(dict.fromkeys("abc", KINDS["number"].settings())), predict, table)


@pytest.fixture
def table() -> pa.Table:
    generator = np.random.default_rng(0)
    a, b, c = generator.normal(size=(3, 2000))
    return pa.table({"c": c, "b": b, "a": a, "y": 2 * a + 0.1 * b + generator.normal(size=2000) * 0.01})


def test_columns_are_ranked_by_what_their_loss_costs(table: pa.Table) -> None:
    found = permutation_importance(predict, judged(table), ["c", "b", "a"], "rmse", seed=0)
    assert [column.column for column in found] == ["a", "b", "c"]
    assert found[0].drop == pytest.approx(2 * np.sqrt(2), rel=0.1)
    assert found[1].drop == pytest.approx(0.1 * np.sqrt(2), rel=0.2)
    assert (found[2].drop, found[2].spread) == (0.0, 0.0)
    assert found[0].spread > 0


def test_importance_is_deterministic(table: pa.Table) -> None:
    first, again, other = (permutation_importance(predict, judged(table), ["a", "b"], "r2", seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_only_column_of_a_model_is_not_shuffled(table: pa.Table) -> None:
    assert permutation_importance(predict, judged(table), ["a"], "r2", 0) == []


def test_predictions_stay_within_the_budget(table: pa.Table) -> None:
    seen: list[int] = []

    def counting(rows: pa.Table) -> Scored:
        seen.append(rows.num_rows)
        return predict(rows)

    permutation_importance(counting, judged(table), ["a", "b", "c"], "rmse", seed=0, budget=900)
    assert seen == [100, 300, 300, 300]


def test_few_rows_are_all_used() -> None:
    assert importance_rows(rows=500, columns=4, nbytes=1000) == 500
    assert importance_rows(rows=50_000, columns=4, nbytes=1000) == 3000
    assert importance_rows(rows=50_000, columns=100_000, nbytes=1000) == 1
    assert importance_rows(rows=50_000, columns=1, nbytes=50_000 << 20) == 42


def test_a_metric_that_the_rows_cannot_define_has_no_importance(table: pa.Table) -> None:
    assert permutation_importance(predict, judged(table.slice(0, 1)), ["a"], "r2", seed=0) == []
