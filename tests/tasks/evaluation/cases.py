"""Whole cases to judge: a snapshot table, its contract, and a linear model in place of a graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.columns import KINDS, ColumnSettings
from models.contract import Contract, ContractColumn, SplitSpec
from models.sections import Task
from tasks.evaluation.features import dense_features
from tasks.evaluation.scored import Scored
from tasks.evaluation.unseen import Predict, Unseen, look_through


def unseen(contract: Contract, predict: Predict, table: pa.Table) -> Unseen:
    """Rows to judge on that are in memory."""
    return look_through([table], predict, contract, lambda rows: table.take(pa.array(rows)))


KIND_OF = {pa.float64(): "number", pa.bool_(): "boolean", pa.timestamp("us", tz="UTC"): "datetime"}


@dataclass(frozen=True)
class Case:
    contract: Contract
    predict: Predict
    train: pa.Table
    test: pa.Table

    @property
    def unseen(self) -> Unseen:
        return unseen(self.contract, self.predict, self.test)


def make_contract(
    table: pa.Table, target: str, task: Task, classes: Sequence[str | int | bool], sensitive: Sequence[str] = ()
) -> Contract:
    columns = []
    for name in table.column_names:
        if name not in (target, "weight"):
            kind = KINDS[KIND_OF.get(table.schema.field(name).type, "category")]
            settings: ColumnSettings = kind.settings(sensitive=name in sensitive)
            columns.append(
                ContractColumn(
                    name=name, settings=settings, statistics=kind.fit([table[name].combine_chunks()], settings)
                )
            )
    return Contract(
        name="a-model",
        task=task,
        target=target,
        columns=tuple(columns),
        missing=(),
        classes=tuple(classes),
        threshold=0.5 if task == "binary" else None,
        weight="weight" if "weight" in table.column_names else None,
        split=SplitSpec(rule="hash", columns=("id",), validation=0.1, test=0.3),
        snapshot="5" * 64,
        model_file="6" * 64,
        code="7" * 64,
        graph_sha256="8" * 64,
    )


def make_case(
    table: pa.Table, target: str, task: Task, classes: Sequence[str | int | bool] = (), sensitive: Sequence[str] = ()
) -> Case:
    """Seven of ten rows train a linear model; the rest are test rows."""
    contract = make_contract(table, target, task, classes, sensitive)
    mine = np.random.default_rng(0).random(table.num_rows) < 0.7
    train, test = table.filter(pa.array(mine)), table.filter(pa.array(~mine))
    columns = {column.name: column.settings for column in contract.columns}
    model = make_pipeline(StandardScaler(), Ridge() if task == "regression" else LogisticRegression(max_iter=300))
    model.fit(_features(train, train, columns), _truth(train, target, classes))

    def predict(rows: pa.Table) -> Scored:
        features, truth = _features(train, rows, columns), _truth(rows, target, classes)
        weight = rows["weight"].to_numpy() if contract.weight else None
        if task == "regression":
            return Scored(task, truth, values=model.predict(features), weight=weight)
        probabilities = model.predict_proba(features)
        return Scored(task, truth, probabilities.argmax(axis=1), probabilities, weight=weight)

    return Case(contract, predict, train, test)


def _features(train: pa.Table, rows: pa.Table, columns: Mapping[str, ColumnSettings]) -> NDArray[np.float64]:
    return np.nan_to_num(dense_features(train, rows, columns).test)


def _truth(rows: pa.Table, target: str, classes: Sequence[str | int | bool]) -> NDArray[Any]:
    if not classes:
        return np.asarray(rows[target].to_numpy())
    texts = [str(name) for name in classes]
    return np.array([texts.index(value) for value in rows[target].to_pylist()], dtype=np.int64)


def as_category(values: Sequence[str | None]) -> pa.DictionaryArray:
    return pa.array(values, pa.string()).dictionary_encode()


def cancer() -> Case:
    data = load_breast_cancer()
    columns: dict[str, Any] = {str(name): data.data[:, i] for i, name in enumerate(data.feature_names[:8])}
    columns["site"] = as_category([("north", "south", "east")[i % 3] if i % 11 else None for i in range(569)])
    columns["<b>screened</b>"] = pa.array(data.data[:, 1] > 18)
    columns["outcome"] = as_category([("benign", "malignant")[1 - t] for t in data.target])
    return make_case(pa.table(columns), "outcome", "binary", ["benign", "malignant"])


def digits() -> Case:
    data = load_digits()
    columns: dict[str, Any] = {f"pixel {i:02}": data.data[:, i] for i in range(64)}
    columns["digit"] = as_category([str(t) for t in data.target])
    return make_case(pa.table(columns), "digit", "multiclass", list(range(10)))


def diabetes() -> Case:
    data = load_diabetes()
    columns: dict[str, Any] = {str(name): data.data[:, i] for i, name in enumerate(data.feature_names)}
    columns["progression"] = data.target.astype(np.float64)
    return make_case(pa.table(columns), "progression", "regression")
