"""Booleans from raw cells to the graph: 0, 1 and NaN for missing."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array, is_numeric, is_text, mask_missing, plain, valid, whole
from models.columns.kind import ColumnKind, ColumnSettings, Parsed, Refusal, Statistics

TRUE = ("true", "t", "yes", "y", "1", "1.0", "on")
FALSE = ("false", "f", "no", "n", "0", "0.0", "off")


class BooleanSettings(ColumnSettings):
    """A boolean has no settings of its own."""

    kind: Literal["boolean"] = "boolean"


class BooleanStatistics(Statistics):
    """How many training rows were true."""

    true: int


class BooleanKind(ColumnKind[BooleanSettings, BooleanStatistics]):
    """Booleans, 0 and 1, and the usual words in any case."""

    name = "boolean"
    input_type: ClassVar[Any] = np.float32
    encoded_type: ClassVar[Any] = np.float32
    encoder_module = "models.columns.boolean.encoder"
    settings = BooleanSettings
    statistics = BooleanStatistics

    def arrow_type(self, settings: BooleanSettings) -> pa.DataType:
        """Booleans."""
        return pa.bool_()

    def reads(self, raw: pa.DataType, settings: BooleanSettings) -> bool:
        """Booleans, numeric types and text."""
        return is_text(raw) or is_numeric(raw) or pa.types.is_boolean(raw) or pa.types.is_null(raw)

    def parse(self, raw: pa.Array, settings: BooleanSettings, missing: tuple[str, ...]) -> Parsed:
        """Booleans; everything that is neither true nor false is refused."""
        cells = plain(as_array(raw))
        if pa.types.is_boolean(cells.type):
            return Parsed(cells)
        if is_text(cells.type):
            cells = pc.utf8_lower(mask_missing(cells, missing))
        elif is_numeric(cells.type):
            cells = _without_nan(cells.cast(pa.float64(), safe=False)).cast(pa.string())
        elif not pa.types.is_null(cells.type):
            return Parsed(pa.nulls(len(cells), pa.bool_()), (Refusal("wrong type", valid(cells)),))
        cells = cells.cast(pa.string())
        true, false = (pc.is_in(cells, value_set=pa.array(words)) for words in (TRUE, FALSE))
        values = pc.if_else(true, True, pc.if_else(false, False, pa.scalar(None, pa.bool_())))
        wrong = valid(cells) & ~valid(values)
        return Parsed(values, (Refusal("wrong type", wrong),) if wrong.any() else ())

    def fit(self, chunks: Iterable[pa.Array], settings: BooleanSettings) -> BooleanStatistics:
        """Counts of true and missing."""
        values = whole(chunks, self.arrow_type(settings))
        true = pc.sum(values).as_py() or 0
        return BooleanStatistics(count=len(values), missing=values.null_count, true=int(true))

    def to_input(self, values: pa.Array, settings: BooleanSettings) -> NDArray[Any]:
        """Float32 [N]: 0, 1 or NaN."""
        return np.asarray(values.cast(pa.float32()).to_numpy(zero_copy_only=False), dtype=np.float32)

    def watched(self, values: pa.Array, settings: BooleanSettings) -> Mapping[str, pa.Array]:
        """True and false."""
        return {"value": values.cast(pa.string())}


def _without_nan(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
