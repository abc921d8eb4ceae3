"""Dates and times from raw cells to the graph: seconds on the wall clock of the column's time zone."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator

from models.columns.cells import as_array, is_numeric, is_text, mask_missing, plain, valid, whole
from models.columns.datetime.statistics import DatetimeStatistics, fit_datetime
from models.columns.kind import ColumnKind, ColumnSettings, Mask, Parsed, Refusal
from models.moments import checked_zone

if TYPE_CHECKING:
    import pandas as pd

INSTANT = pa.timestamp("us", tz="UTC")
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""Seconds since 1970 of the first and the last instant that is accepted: the years 1 to 9999, in UTC."""
COUNTS = {"s": 1, "ms": 10**3, "us": 10**6}
"""Units of a stamp in a second; nanoseconds can't leave the accepted years."""
OFFSET = r"[Zz]$|[+-]\d{2}:?\d{2}$|[Tt ].*[+-]\d{2}$"
"""What ends an ISO text that names its offset, as +02:00, +0200 or, from PostgreSQL, +02."""
NO_DATES = ("now", "today")
"""Words that pandas would read as the current time."""
UNIX: dict[str, Literal["s", "ms", "us"]] = {"unix": "s", "unix_ms": "ms", "unix_us": "us"}


class DatetimeSettings(ColumnSettings):
    """The time zone of stamps that name none, and in which hours and weekdays are counted."""

    kind: Literal["datetime"] = "datetime"
    timezone: str = Field("UTC", description="IANA name, such as Europe/Berlin")
    format: str | None = Field(None, description="strptime pattern, or unix, unix_ms, unix_us; ISO 8601 if not given")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return checked_zone(name)

    @field_validator("format")
    @classmethod
    def _known_format(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None or pattern in UNIX else _checked_pattern(pattern)


class DatetimeKind(ColumnKind[DatetimeSettings, DatetimeStatistics]):
    """Timestamps, dates, and text or numbers in a stated format."""

    name = "datetime"
    moves = True
    input_type: ClassVar[Any] = np.float64
    encoded_type: ClassVar[Any] = np.float64
    encoder_module = "models.columns.datetime.encoder"
    settings = DatetimeSettings
    statistics = DatetimeStatistics

    def arrow_type(self, settings: DatetimeSettings) -> pa.DataType:
        """Instants in UTC."""
        return INSTANT

    def reads(self, raw: pa.DataType, settings: DatetimeSettings) -> bool:
        """Timestamps, dates and text; numbers where the format says what they count."""
        counted = is_numeric(raw) and settings.format in UNIX
        return counted or is_text(raw) or pa.types.is_timestamp(raw) or pa.types.is_date(raw) or pa.types.is_null(raw)

    def parse(self, raw: pa.Array, settings: DatetimeSettings, missing: tuple[str, ...]) -> Parsed:
        """Instants in UTC; refused are what can't be read as a date, and what is before year 1 or after 9999."""
        instants, wrong, outside = _to_instants(plain(as_array(raw)), settings, missing)
        found = (("wrong type", wrong), ("out of range", outside))
        return Parsed(instants, tuple(Refusal(reason, rows) for reason, rows in found if rows.any()))

    def fit(self, chunks: Iterable[pa.Array], settings: DatetimeSettings) -> DatetimeStatistics:
        """First, last and typical instant of the training rows."""
        return fit_datetime(self.to_input(whole(chunks, self.arrow_type(settings)), settings))

    def to_input(self, values: pa.Array, settings: DatetimeSettings) -> NDArray[Any]:
        """Seconds since 1970 on the local wall clock, float64 [N], NaN where missing."""
        local = pc.local_timestamp(values.cast(pa.timestamp("us", tz=settings.timezone)))
        microseconds = local.cast(pa.int64()).cast(pa.float64(), safe=False)
        return np.asarray(microseconds.to_numpy(zero_copy_only=False), dtype=np.float64) / 1e6

    def watched(self, values: pa.Array, settings: DatetimeSettings) -> Mapping[str, NDArray[np.float64]]:
        """Seconds since 1970, UTC."""
        seconds = values.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / 1e6
        return {"time": np.asarray(seconds, dtype=np.float64)}


def _checked_pattern(pattern: str) -> str:
    """The pattern itself. Raises ValueError unless it is one of strptime's."""
    import pandas as pd

    try:
        pd.to_datetime(pd.Series(["x"]), errors="coerce", format=pattern)
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is no strptime pattern ({error})") from None
    if "%" not in pattern:
        raise ValueError(f"{pattern!r} is no strptime pattern, such as %d.%m.%Y, and none of {', '.join(UNIX)}")
    return pattern


def _to_instants(cells: pa.Array, settings: DatetimeSettings, missing: tuple[str, ...]) -> tuple[pa.Array, Mask, Mask]:
    """Instants in UTC, and the masks of the cells that are no date and of those that are too far away."""
    if is_text(cells.type):
        cells = mask_missing(cells, missing)
        return _from_unix_text(cells, settings.format) if settings.format in UNIX else _from_text(cells, settings)
    if is_numeric(cells.type) and settings.format in UNIX:
        return _from_unix(cells.cast(pa.float64(), safe=False), settings.format)
    nothing = np.zeros(len(cells), dtype=bool)
    if pa.types.is_timestamp(cells.type):
        return _placed(cells, nothing, settings.timezone)
    if pa.types.is_date(cells.type):
        return _placed(
            cells.cast(pa.timestamp("s" if pa.types.is_date32(cells.type) else "ms")), nothing, settings.timezone
        )
    return pa.nulls(len(cells), INSTANT), valid(cells), nothing


def _placed(stamps: pa.Array, wrong: Mask, timezone: str) -> tuple[pa.Array, Mask, Mask]:
    """Timestamps of any unit as instants; those without a zone are on the column's own clock.

    Clock times that a change of the clock skips or doubles take the later or the first reading.
    """
    aware = stamps.type.tz is not None
    near, far = _near(stamps)
    if aware:
        return near.cast(INSTANT), wrong, far
    local = pc.assume_timezone(near, timezone, ambiguous="earliest", nonexistent="latest")
    instants, shifted = _near(local)
    return instants.cast(INSTANT), wrong, far | shifted


def _near(stamps: pa.Array) -> tuple[pa.Array, Mask]:
    """The stamps in microseconds, null where they are outside the accepted years, and the mask of those."""
    unit, far = stamps.type.unit, np.zeros(len(stamps), dtype=bool)
    if unit in COUNTS:
        count = pc.fill_null(stamps.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        far = (count < FIRST * COUNTS[unit]) | (count >= (LAST + 1) * COUNTS[unit])
        stamps = pc.if_else(pa.array(far), pa.scalar(None, stamps.type), stamps) if far.any() else stamps
    return stamps.cast(pa.timestamp("us", stamps.type.tz), safe=False), far


def _from_text(cells: pa.Array, settings: DatetimeSettings) -> tuple[pa.Array, Mask, Mask]:
    """Instants by pandas, which reads mixed ISO forms and marks what it can't read instead of raising."""
    dated = pc.if_else(
        pc.is_in(pc.utf8_lower(cells), value_set=pa.array(NO_DATES)), pa.scalar(None, pa.string()), cells
    )
    with_offset = _with_offset(dated, settings.format)
    text = dated.to_pandas()
    there, clock = _read(text.where(with_offset), settings.format), _read(text.where(~with_offset), settings.format)
    instants, _, far = _placed(there, with_offset, settings.timezone)
    local, _, local_far = _placed(clock.cast(pa.timestamp(clock.type.unit)), with_offset, settings.timezone)
    wrong = valid(cells) & ~valid(there) & ~valid(clock)
    return pc.coalesce(instants, local), wrong, far | local_far


def _with_offset(text: pa.Array, pattern: str | None) -> Mask:
    """Mask of the texts that say how far their clock is from UTC."""
    if pattern is not None:
        return np.full(len(text), "%z" in pattern or "%Z" in pattern)
    found = pc.fill_null(pc.match_substring_regex(text, OFFSET), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _read(text: "pd.Series[str]", pattern: str | None) -> pa.Array:
    """Timestamps, in UTC where the text says its offset or as if it did; null where it is no date."""
    # Late: whatever reads no dates in texts, such as the server that starts workers, does without.
    import pandas as pd

    stamps = pd.to_datetime(text, errors="coerce", format=pattern or "ISO8601", utc=True)
    return pa.array(stamps.dt.tz_convert(None).to_numpy(), from_pandas=True).cast(pa.timestamp(stamps.dt.unit, "UTC"))


def _from_unix_text(cells: pa.Array, unit: str | None) -> tuple[pa.Array, Mask, Mask]:
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(cells.to_numpy(zero_copy_only=False)), errors="coerce")
    read = pa.array(numbers, pa.float64(), from_pandas=True)
    instants, _, far = _from_unix(read, unit)
    return instants, valid(cells) & ~valid(read), far


def _from_unix(numbers: pa.Array, unit: str | None) -> tuple[pa.Array, Mask, Mask]:
    """Instants of counted units since 1970; NaN is missing."""
    counts = numbers.to_numpy(zero_copy_only=False)
    scale = COUNTS[UNIX[unit or "unix"]]
    inside = (counts >= FIRST * scale) & (counts < (LAST + 1) * scale)
    microseconds = np.round(np.where(inside, counts, 0.0) * (10**6 / scale)).astype(np.int64)
    far = ~inside & ~np.isnan(counts)
    return pa.array(microseconds, mask=~inside).cast(INSTANT), np.zeros(len(counts), dtype=bool), far
