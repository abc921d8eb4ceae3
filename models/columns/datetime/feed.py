"""Dates and times from raw cells to the graph: seconds on the wall clock of the column's time zone."""

from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator

from models.columns.cells import as_array, is_numeric, is_text, mask_missing, plain, valid
from models.columns.datetime.statistics import DatetimeStatistics, fit_datetime
from models.columns.kind import ColumnKind, ColumnSettings, Mask, Parsed, Refusal

INSTANT = pa.timestamp("us", tz="UTC")
UNIX: dict[str, Literal["s", "ms", "us"]] = {"unix": "s", "unix_ms": "ms", "unix_us": "us"}


class DatetimeSettings(ColumnSettings):
    """The time zone of stamps that name none, and in which hours and weekdays are counted."""

    kind: Literal["datetime"] = "datetime"
    timezone: str = Field("UTC", description="IANA name, such as Europe/Berlin")
    format: str | None = Field(None, description="strptime pattern, or unix, unix_ms, unix_us; ISO 8601 if not given")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone is called {name!r}") from None
        return name


class DatetimeKind(ColumnKind[DatetimeSettings, DatetimeStatistics]):
    """Timestamps, dates, and text or numbers in a stated format."""

    name = "datetime"
    arrow_type: ClassVar[pa.DataType] = INSTANT
    input_type: ClassVar[Any] = np.float64
    encoder_module = "models.columns.datetime.encoder"
    settings = DatetimeSettings
    statistics = DatetimeStatistics

    def reads(self, raw: pa.DataType, settings: DatetimeSettings) -> bool:
        """Timestamps, dates and text; numbers where the format says what they count."""
        counted = is_numeric(raw) and settings.format in UNIX
        return counted or is_text(raw) or pa.types.is_timestamp(raw) or pa.types.is_date(raw) or pa.types.is_null(raw)

    def parse(self, raw: pa.Array, settings: DatetimeSettings, missing: tuple[str, ...]) -> Parsed:
        """Instants in UTC; what can't be read as a date is refused."""
        instants, wrong = _to_instants(plain(as_array(raw)), settings, missing)
        return Parsed(instants, (Refusal("wrong type", wrong),) if wrong.any() else ())

    def fit(self, values: pa.Array, settings: DatetimeSettings) -> DatetimeStatistics:
        """First, last and typical instant of the training rows."""
        return fit_datetime(self.to_input(values, settings))

    def to_input(self, values: pa.Array, settings: DatetimeSettings) -> NDArray[Any]:
        """Seconds since 1970 on the local wall clock, float64 [N], NaN where missing."""
        local = pc.local_timestamp(values.cast(pa.timestamp("us", tz=settings.timezone)))
        microseconds = local.cast(pa.int64()).cast(pa.float64())
        return np.asarray(microseconds.to_numpy(zero_copy_only=False), dtype=np.float64) / 1e6


def _to_instants(cells: pa.Array, settings: DatetimeSettings, missing: tuple[str, ...]) -> tuple[pa.Array, Mask]:
    if is_text(cells.type):
        cells = mask_missing(cells, missing)
        if settings.format in UNIX:
            numbers = pd.to_numeric(pd.Series(cells.to_numpy(zero_copy_only=False)), errors="coerce")
            return _from_unix(pa.array(numbers, from_pandas=True), valid(cells), settings.format)
        return _from_pandas(cells, settings)
    if pa.types.is_null(cells.type):
        return cells.cast(INSTANT), np.zeros(len(cells), dtype=bool)
    if is_numeric(cells.type) and settings.format in UNIX:
        return _from_unix(cells, valid(cells), settings.format)
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        return _from_pandas(cells, settings)
    return pa.nulls(len(cells), INSTANT), valid(cells)


def _from_pandas(cells: pa.Array, settings: DatetimeSettings) -> tuple[pa.Array, Mask]:
    """Instants by pandas, which reads mixed ISO forms and marks what it can't read instead of raising."""
    pattern = settings.format or "ISO8601"
    aware = pa.types.is_timestamp(cells.type) and cells.type.tz is not None
    if not aware and is_text(cells.type) and settings.format is None:
        stamps = _iso_text(cells, settings.timezone)
    else:
        stamps = pd.to_datetime(cells.to_pandas(), errors="coerce", format=pattern if is_text(cells.type) else None)
    stamps = _localized(stamps, settings.timezone)
    instants = _as_instants(stamps.dt.tz_convert(None))
    return instants, valid(cells) & ~valid(instants)


def _as_instants(utc: "pd.Series[pd.Timestamp]") -> pa.Array:
    """Stamps without a zone, meant as UTC."""
    return pa.array(utc.to_numpy(), from_pandas=True).cast(pa.timestamp("us"), safe=False).cast(INSTANT)


def _iso_text(cells: pa.Array, timezone: str) -> "pd.Series[pd.Timestamp]":
    """Texts with and without an offset in one column: those without are on the column's own clock."""
    text = cells.to_pandas()
    offset = text.str.contains(r"(?:[Zz]|[+-]\d{2}:?\d{2})$", regex=True, na=False).to_numpy(dtype=bool)
    if offset.all() or not offset.any():
        stamps: pd.Series[pd.Timestamp] = pd.to_datetime(
            text, errors="coerce", format="ISO8601", utc=bool(offset.any())
        )
        return stamps
    aware = pd.to_datetime(text.where(offset), errors="coerce", format="ISO8601", utc=True)
    naive = pd.to_datetime(text.where(~offset), errors="coerce", format="ISO8601")
    filled: pd.Series[pd.Timestamp] = aware.fillna(_localized(naive, timezone).dt.tz_convert("UTC"))
    return filled


def _localized(stamps: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[pd.Timestamp]":
    """Clock times that a change of the clock skips or doubles take the later or the first reading."""
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype):
        first = np.ones(len(stamps), dtype=bool)
        return pd.to_datetime(stamps).dt.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return stamps


def _from_unix(numbers: pa.Array, given: Mask, unit: str | None) -> tuple[pa.Array, Mask]:
    counts = pd.Series(numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    instants = _as_instants(pd.to_datetime(counts, unit=UNIX[unit or "unix"], errors="coerce"))
    return instants, given & ~valid(instants)
