"""The rows that each action takes."""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.actions import IDENTITY, Action, action_problems, sent_columns
from models.classes import Classes
from models.condition import Condition, outputs_of, parse_condition
from models.errors import InputError
from tasks.actions.masks import mask_of


class Actions:
    """The actions of one version, ready to look through its predictions; threads may share it."""

    def __init__(self, actions: Sequence[Action], classes: Classes) -> None:
        """`classes` are those of the contract, none for a regression. Raises InputError for what doesn't fit them."""
        problems = list(action_problems(actions, classes))
        if problems:
            raise InputError(*problems)
        self.actions = tuple(actions)
        self._outputs = outputs_of(classes)
        self._conditions: dict[str, Condition] = {action.name: parse_condition(action.when) for action in actions}
        self._sent = {action.name: sent_columns(action, classes) for action in actions}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the input that actions send; rows to be scored must have them."""
        sent = (name for names in self._sent.values() for name in names)
        return tuple(dict.fromkeys(name for name in sent if name not in self._outputs))

    def select(self, predictions: pa.Table, inputs: pa.Table) -> dict[str, pa.Table]:
        """The rows that each action takes, by its name: what names the row and its version, then what is sent.

        `predictions` has the prediction columns and model, model_version, run_id, source and row, under these very
        names; `inputs` the raw rows, in the same order, with at least the columns in `inputs` of this object.
        """
        whole = {name: predictions[name].combine_chunks() for name in self._outputs}
        return {action.name: self._taken(action, whole, predictions, inputs) for action in self.actions}

    def taken(self, outputs: Mapping[str, pa.Array]) -> NDArray[np.int64]:
        """Positions of the rows that any of the actions takes, by their prediction columns."""
        masks = [mask_of(condition, outputs) for condition in self._conditions.values()]
        return np.asarray(pc.indices_nonzero(reduce(pc.or_, masks)).to_numpy().astype(np.int64))

    def _taken(self, action: Action, whole: dict[str, pa.Array], predictions: pa.Table, inputs: pa.Table) -> pa.Table:
        rows = pc.indices_nonzero(mask_of(self._conditions[action.name], whole))
        sent = self._sent[action.name]
        sides = {name: (predictions if name in self._outputs else inputs)[name] for name in sent}
        columns = {name: predictions[name] for name in IDENTITY} | sides
        return pa.table({name: column.take(rows) for name, column in columns.items()})
