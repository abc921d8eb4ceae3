"""The contract every column kind keeps, so that checking, training, export and scoring treat all kinds alike."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from onnx import NodeProto

Mask = NDArray[np.bool_]


class ColumnSettings(BaseModel):
    """What the model file may say about a column of any kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    sensitive: bool = False
    """Keep this column's values out of rejects, profiles, reports, logs and examples."""


class Statistics(BaseModel):
    """What a kind learns from the training rows of one column; the contract keeps it as the column's profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    missing: int


@dataclass(frozen=True)
class Refusal:
    """Rows whose value breaks one rule; `rows` is a mask of shape [N]."""

    reason: str
    rows: Mask


@dataclass(frozen=True)
class Parsed:
    """A column in its kind's own Arrow type: null where the value is missing or refused."""

    values: pa.Array
    refusals: tuple[Refusal, ...] = ()


SettingsT = TypeVar("SettingsT", bound=ColumnSettings)
StatisticsT = TypeVar("StatisticsT", bound=Statistics)


class ColumnKind(ABC, Generic[SettingsT, StatisticsT]):
    """One kind of column, from raw Arrow values to the array that the graph takes. Torch-free.

    The network half of a kind lives beside it, in the module that `encoder_module` names, and is imported by training
    and export alone.
    """

    name: ClassVar[str]
    arrow_type: ClassVar[pa.DataType]
    """The type of a parsed column, in snapshots too."""
    input_type: ClassVar[Any]
    """The numpy dtype of the graph input, `numpy.object_` for strings."""
    encoder_module: ClassVar[str]
    settings: type[SettingsT]
    statistics: type[StatisticsT]

    @abstractmethod
    def reads(self, raw: pa.DataType, settings: SettingsT) -> bool:
        """Whether a raw column of this Arrow type, dictionaries aside, can hold values of the kind at all."""

    @abstractmethod
    def parse(self, raw: pa.Array, settings: SettingsT, missing: tuple[str, ...]) -> Parsed:
        """The column in the kind's own type, and the rows that break its rules.

        `missing` are the marks that stand for a missing value in columns of strings. Never raises for bad values.
        """

    @abstractmethod
    def fit(self, values: pa.Array, settings: SettingsT) -> StatisticsT:
        """Statistics of the parsed training values."""

    @abstractmethod
    def to_input(self, values: pa.Array, settings: SettingsT) -> NDArray[Any]:
        """The graph input of shape [N]: numbers with NaN, strings with "" where the value is missing."""

    def encode(self, values: pa.Array, settings: SettingsT, statistics: StatisticsT) -> NDArray[Any]:
        """What the torch encoder takes, [N]: the graph input itself unless the kind has a look-up in the graph."""
        return self.to_input(values, settings)

    def graph_nodes(self, source: str, target: str, statistics: StatisticsT) -> "list[NodeProto]":
        """ONNX nodes that do to the graph input `source` [N] what `encode` does, into `target` [N]."""
        from onnx import helper

        return [helper.make_node("Identity", [source], [target])]
