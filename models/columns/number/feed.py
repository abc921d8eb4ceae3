"""Numbers from raw cells to the graph: any numeric type or numeric text becomes float32 with NaN for missing."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from models.columns.cells import as_array, is_numeric, is_text, mask_missing, plain, valid, whole
from models.columns.kind import BIAS, BIASED, ColumnKind, ColumnSettings, Mask, Parsed, Refusal, Shift
from models.columns.number.statistics import NumberStatistics, fit_number

LARGEST = float(np.finfo(np.float32).max)
NUMBER = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan(?:\([0-9a-z_]*\))?)$"
"""What reads as a number, in any case: decimal notation, infinities and NaN."""


class NumberSettings(ColumnSettings):
    """A number may have a range; values outside are rejects."""

    kind: Literal["number"] = "number"
    min: float | None = Field(None, description="smallest value that is accepted")
    max: float | None = Field(None, description="largest value that is accepted")

    @model_validator(mode="after")
    def _ordered(self) -> "NumberSettings":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class NumberKind(ColumnKind[NumberSettings, NumberStatistics]):
    """Any numeric type, and strings that read as numbers."""

    name = "number"
    input_type: ClassVar[Any] = np.float32
    encoded_type: ClassVar[Any] = np.float32
    encoder_module = "models.columns.number.encoder"
    settings = NumberSettings
    statistics = NumberStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """A sensor that has lost its zero."""
        return MappingProxyType({"sensor_bias": Shift(BIASED, _biased)})

    def arrow_type(self, settings: NumberSettings) -> pa.DataType:
        """Float64."""
        return pa.float64()

    def reads(self, raw: pa.DataType, settings: NumberSettings) -> bool:
        """Numeric types, booleans and text."""
        return is_text(raw) or is_numeric(raw) or pa.types.is_boolean(raw) or pa.types.is_null(raw)

    def parse(self, raw: pa.Array, settings: NumberSettings, missing: tuple[str, ...]) -> Parsed:
        """Float64 values; refused are text that is no number, infinities, and values out of range."""
        numbers, wrong = _to_float64(plain(as_array(raw)), missing)
        low = -np.inf if settings.min is None else settings.min
        high = np.inf if settings.max is None else settings.max
        # Most batches need no masks; a NaN is never within.
        if len(numbers) and max(low, -LARGEST) <= numbers.min() and numbers.max() <= min(high, LARGEST):
            return Parsed(pa.array(numbers, pa.float64()))
        finite = np.abs(numbers) <= LARGEST
        missing_rows = np.isnan(numbers)
        infinite = ~finite & ~missing_rows
        outside = finite & ((numbers < low) | (numbers > high))
        found = (("wrong type", wrong), ("not finite", infinite), ("out of range", outside))
        refusals = tuple(Refusal(reason, rows) for reason, rows in found if rows.any())
        null = missing_rows | infinite | outside
        return Parsed(pa.array(numbers, pa.float64(), mask=null if null.any() else None), refusals)

    def fit(self, chunks: Iterable[pa.Array], settings: NumberSettings) -> NumberStatistics:
        """Median, spread and quantile bins of the training values."""
        return fit_number(self.to_input(whole(chunks, self.arrow_type(settings)), settings))

    def to_input(self, values: pa.Array, settings: NumberSettings) -> NDArray[Any]:
        """Float32 [N], NaN where missing."""
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float32)

    def watched(self, values: pa.Array, settings: NumberSettings) -> Mapping[str, NDArray[np.float64]]:
        """The values."""
        return {"value": np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)}


def _biased(values: pa.Array, settings: NumberSettings, generator: np.random.Generator) -> pa.Array:
    """All values half a standard deviation higher, but within the limits of the column: others would be rejects."""
    higher = pc.add(values, BIAS * (pc.stddev(values).as_py() or 0.0))
    return higher if settings.max is None else pc.min_element_wise(higher, settings.max, skip_nulls=False)


def _to_float64(raw: pa.Array, missing: tuple[str, ...]) -> tuple[NDArray[np.float64], Mask]:
    """Values with NaN for missing, and the mask of cells that are no number at all."""
    if is_text(raw.type):
        return _text_to_float64(mask_missing(raw, missing))
    if is_numeric(raw.type) or pa.types.is_boolean(raw.type) or pa.types.is_null(raw.type):
        numbers = raw.cast(pa.float64(), safe=False)
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64), np.zeros(len(raw), dtype=bool)
    return np.full(len(raw), np.nan), valid(raw)


def _text_to_float64(text: pa.Array) -> tuple[NDArray[np.float64], Mask]:
    try:
        return _cast(text), np.zeros(len(text), dtype=bool)
    except pa.ArrowInvalid:
        wrong = _no_numbers(text)
        return _cast(pc.if_else(pa.array(wrong), pa.scalar(None, pa.string()), text)), wrong


def _cast(text: pa.Array) -> NDArray[np.float64]:
    return np.asarray(text.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _no_numbers(text: pa.Array) -> Mask:
    """Mask of the texts that Arrow would not cast; one such text must not change how the others are read."""
    written = pc.match_substring_regex(text, NUMBER, ignore_case=True)
    return np.asarray(pc.fill_null(pc.invert(written), False).to_numpy(zero_copy_only=False), dtype=bool)
