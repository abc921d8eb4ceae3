"""The contract every column kind keeps, so that checking, training, export and scoring treat all kinds alike."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from onnx import NodeProto

Mask = NDArray[np.bool_]
BIAS = 0.5
"""Standard deviations by which a biased sensor is off."""
BIASED = "sensors that have lost their zero: values half a standard deviation higher, within their limits"
BATCH_SIZE = 256


class ColumnSettings(BaseModel):
    """What the model file may say about a column of any kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    sensitive: bool = False
    """Keep this column's values out of rejects, profiles, reports, logs and examples."""


class LargeSettings(ColumnSettings):
    """What the model file may say about a column whose values are texts, pictures or recordings."""

    encoder: str | None = Field(
        None, min_length=1, description="Python file beside the model file, whose class Encoder replaces the kind's own"
    )


class FileSettings(LargeSettings):
    """What the model file may say about a column of files, whose contents `parse` is given in place of their names."""

    folder: str = Field(".", description="no file may lie outside; relative to the table that names them")


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
class Ragged:
    """Rows of different lengths: the values of row i are the `lengths[i]` ones behind those of the rows before it.

    They are positive: where rows are padded to one length, 0 stands behind their ends.
    """

    values: NDArray[Any]
    """[sum of lengths]."""
    lengths: NDArray[np.int64]
    """[N]."""


@dataclass(frozen=True)
class Parsed:
    """A column in its kind's own Arrow type: null where the value is missing or refused."""

    values: pa.Array
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Shown:
    """One value for people to look at; all parts empty where it is missing. How they are drawn is the page's matter."""

    text: str = ""
    picture: bytes = b""
    """A PNG file."""
    curve: NDArray[np.float32] | None = None
    """[T, 2] lowest and highest value in each of T equal steps, NaN in gaps; alike for a plain line."""
    sound: bytes = b""
    """A WAV file."""

    @property
    def drawn(self) -> bool:
        """Whether there is more to it than its text."""
        return bool(self.picture or self.sound) or self.curve is not None


def is_gathered(kind: pa.DataType) -> bool:
    """Whether values are structs of `content` and `failure`, from outside of the table."""
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"content", "failure"}:
        return False
    content = kind.field("content").type
    return bool(
        pa.types.is_binary(content) or pa.types.is_large_binary(content) or pa.types.is_fixed_size_binary(content)
    )


def failures(gathered: pa.StructArray) -> tuple[Refusal, ...]:
    """A refusal for each distinct `failure` of the structs that stand for values from outside of the table."""
    return refusals_of(np.array(pc.struct_field(gathered, "failure").to_pylist(), dtype=object))


def refusals_of(reasons: NDArray[np.object_]) -> tuple[Refusal, ...]:
    """A refusal for each distinct reason, in the order they are met; None stands for no reason."""
    return tuple(Refusal(reason, reasons == reason) for reason in dict.fromkeys(reasons.tolist()) if reason is not None)


LONGEST_SHOWN = 300
"""Characters of a text that people are shown."""


@dataclass(frozen=True)
class Shift:
    """Something that befalls values in use, in words, and what it makes of parsed ones."""

    words: str
    change: Callable[[pa.Array, Any, np.random.Generator], pa.Array]

    def __call__(self, values: pa.Array, settings: Any, generator: np.random.Generator) -> pa.Array:
        """The values as they are then; missing ones stay missing."""
        return self.change(values, settings, generator)


SettingsT = TypeVar("SettingsT", bound=ColumnSettings)
StatisticsT = TypeVar("StatisticsT", bound=Statistics)


class ColumnKind(ABC, Generic[SettingsT, StatisticsT]):
    """One kind of column, from raw Arrow values to the array that the graph takes. Torch-free.

    The network half of a kind lives beside it, in the module that `encoder_module` names, and is imported by training
    and export alone. Its `Encoder(settings, statistics, network)` takes one of each per column.
    """

    name: ClassVar[str]
    joined: ClassVar[bool] = True
    """Whether one encoder takes all columns of the kind, stacked [N, C, ...]; else each column [N, ...] has its own."""
    ragged: ClassVar[bool] = False
    """Whether `encode` gives rows of different lengths; only kinds that are not joined may."""
    input_type: ClassVar[Any]
    """The numpy dtype of the graph input, `numpy.object_` for strings."""
    encoded_type: ClassVar[Any]
    """The numpy dtype of what the encoder takes."""
    encoder_module: ClassVar[str]
    batch_size: ClassVar[int] = BATCH_SIZE
    """Rows of a training step where the model file does not say it."""
    moves: ClassVar[bool] = False
    """Whether values move on by nature, so that later ones differ and nothing is wrong."""
    summarised: ClassVar[str] = ""
    """What `summary` makes of values, in words such as "pictures as shades of 8 x 8 blocks"; empty: nothing."""
    settings: type[SettingsT]
    statistics: type[StatisticsT]

    @property
    def shifts(self) -> "Mapping[str, Shift]":
        """What can befall values of this kind in use, by name: changes of parsed values that a model should bear."""
        return MappingProxyType({})

    @property
    def profile(self) -> type[Statistics]:
        """What the contract keeps of the statistics."""
        return self.statistics

    def profiled(self, statistics: StatisticsT) -> Statistics:
        """The part of the statistics that says what the column looks like, of the type `profile`."""
        return statistics

    @abstractmethod
    def arrow_type(self, settings: SettingsT) -> pa.DataType:
        """The type of a parsed column, in snapshots too."""

    def shape(self, settings: SettingsT) -> tuple[int, ...]:
        """Shape of one value in the graph input; () for a single number or string."""
        return ()

    @abstractmethod
    def reads(self, raw: pa.DataType, settings: SettingsT) -> bool:
        """Whether a raw column of this Arrow type, dictionaries aside, can hold values of the kind at all."""

    @abstractmethod
    def parse(self, raw: pa.Array, settings: SettingsT, missing: tuple[str, ...]) -> Parsed:
        """The column in the kind's own type, and the rows that break its rules.

        `missing` are the marks that stand for a missing value in columns of strings. Never raises for bad values.
        What `arrow_type` says is passed on as it is.
        """

    @abstractmethod
    def fit(self, chunks: Iterable[pa.Array], settings: SettingsT) -> StatisticsT:
        """Statistics of the parsed training values, given in pieces, each looked at once."""

    @abstractmethod
    def to_input(self, values: pa.Array, settings: SettingsT) -> NDArray[Any]:
        """The graph input [N, *shape]: numbers with NaN, strings with "" where the value is missing."""

    def encode(self, values: pa.Array, settings: SettingsT, statistics: StatisticsT) -> "NDArray[Any] | Ragged":
        """What the torch encoder takes, [N, ...]: the graph input itself unless the kind has a look-up in the graph."""
        return self.to_input(values, settings)

    def graph_nodes(self, source: str, target: str, settings: SettingsT, statistics: StatisticsT) -> "list[NodeProto]":
        """ONNX nodes that do to the graph input `source` [N, *shape] what `encode` does, into `target` [N, ...].

        Names of inner values begin with `target` and a slash. Rows of a `Ragged` end in zeros.
        """
        from onnx import helper

        return [helper.make_node("Identity", [source], [target])]

    def ids(self, statistics: StatisticsT) -> int:
        """Of a ragged kind: how many different values `encode` gives, 0 behind the ends of rows included."""
        return 0

    def sizes(self, feed: NDArray[Any]) -> NDArray[np.int64] | int:
        """How much work each row of a graph input is, [N] or the same for all; rows of similar size share a batch."""
        return int(np.prod(feed.shape[1:], initial=1))

    def shown(self, values: pa.Array, settings: SettingsT, row: int) -> Shown:
        """One of the parsed values as people see it: here its text, cut where it is long."""
        value = values[row].as_py()
        text = f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
        return Shown(text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…")

    def summary(self, values: pa.Array, settings: SettingsT) -> NDArray[np.float32]:
        """A few plain features [N, F] of each value, NaN where missing, for models that take numbers in a table alone.

        Kinds whose values are numbers or names already have none.
        """
        return np.empty((len(values), 0), np.float32)

    def watched(self, values: pa.Array, settings: SettingsT) -> "Mapping[str, NDArray[np.float64] | pa.Array]":
        """What drift is looked for in, by what it is called: numbers [N], NaN where missing, or names [N]."""
        return {}
