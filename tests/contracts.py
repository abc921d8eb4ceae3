"""Contracts without a graph behind them, for tests of what reads them."""

from collections.abc import Mapping
from typing import Any

from models.columns import KINDS, ColumnSettings
from models.contract import Contract, ContractColumn, SplitSpec
from models.sections import Task


def contract_of(columns: Mapping[str, ColumnSettings], task: Task = "regression", **more: Any) -> Contract:
    """A contract of these columns, which nothing is known about; `more` are fields of it."""
    described = tuple(
        ContractColumn(name=name, settings=s, statistics=KINDS[s.kind].profiled(KINDS[s.kind].fit([], s)))
        for name, s in columns.items()
    )
    split = SplitSpec(rule="hash", columns=("id",), validation=0.1, test=0.3)
    plain = {"name": "m", "target": "y", "missing": (), "split": split}
    digests = dict.fromkeys(("snapshot", "model_file", "code", "graph_sha256"), "")
    return Contract(task=task, columns=described, **plain | digests | more)
