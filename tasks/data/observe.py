"""What a raw column looks like: its kind, or the reason why it should not be a feature."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from models.columns.boolean.feed import FALSE, TRUE
from models.columns.cells import as_array, is_numeric, is_text
from models.columns.kind import FileSettings, LargeSettings
from models.sections import DEFAULT_MISSING, LONGEST_PATH
from tasks.data.measures import kind_of_contents, kind_of_paths
from tasks.data.prose import reads_as_prose

EXTRA_MARKS = ("n/a", "#N/A", "<NA>", "None", "none", "-", "--", ".", "#NULL!", "(null)")
"""Marks that are believed only where everything else in the column is a number or a date."""
ID_WORDS = frozenset(("id", "ids", "uid", "udi", "uuid", "guid", "key", "idx", "serial"))
LAST_ID_WORDS = frozenset(("no", "nr"))
"""Words that say identity at the end of a name alone, as in order_no but not in no_of_rooms."""
ROW_NAME = re.compile(r"(row|unnamed)?[\W_\d]*index|unnamed[\W_\d]*", re.IGNORECASE)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")
"""A word of a name in any case, camelCase included."""
TIME_NAME = re.compile(r"time|date|stamp|created|(^|[\W_])(ts|at|on|when|day)([\W_]|$)", re.IGNORECASE)
DATE_FORMATS = tuple(
    day + time
    for day in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%Y", "%b %d, %Y", "%Y%m%d")
    for time in ("", " %H:%M", " %H:%M:%S", " %I:%M:%S %p", " %I:%M %p")
)
UNIX_SPANS = {"unix": 1.0, "unix_ms": 1e3, "unix_us": 1e6}
FIRST_STAMP, LAST_STAMP = 631_152_000, 4_102_444_800
"""Numbers are believed to be instants between 1990 and 2100."""
FEWEST_ROWS = 20
"""With fewer rows, that all values differ says nothing."""
PROBED = 2000
"""Distinct values on which date formats are tried."""


@dataclass(frozen=True)
class Observed:
    """One column of the sample, parsed by the settings that fit it."""

    name: str
    settings: ColumnSettings
    values: pa.Array
    """Parsed values: texts, and paths of files, as dictionaries, contents of files as they are, else in the kind's
    Arrow type."""
    marks: tuple[str, ...]
    """Missing-value marks that occur."""
    distinct: int
    left_out: str = ""
    """Why the column should not be a feature; empty where it may be one."""
    key: bool = False
    """Whether each row has its own value, as an identity has."""
    group: bool = False
    """Whether the name says identity while values repeat."""
    remark: str = ""
    """What was found in the files that the column names."""

    @property
    def has_files(self) -> bool:
        """Whether each value is a picture or a recording."""
        return isinstance(self.settings, FileSettings)

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return int(self.values.null_count)


def observe(name: str, column: pa.ChunkedArray, file: NDArray[np.int64]) -> Observed:
    """The column `name` as it seems to be meant; `file` [N] tells which file each row is from."""
    raw = as_array(column)
    texts = pc.utf8_trim_whitespace(raw.cast(pa.string())) if is_text(raw.type) else None
    marks, given = _found_marks(texts)
    settings = _settings(name, raw, texts, given)
    values = _values(raw, settings, given)
    distinct = len(pc.unique(values).drop_null())
    key = settings.kind != "text" and _is_key(name, values, distinct, file)
    group = not key and not isinstance(settings, LargeSettings) and _is_group(name, values, distinct)
    reason = _reason(settings, raw, values, distinct, key, group)
    return Observed(name, settings, values, marks, distinct, reason, key, group)


def _values(raw: pa.Array, settings: ColumnSettings, marks: tuple[str, ...]) -> pa.Array:
    if isinstance(settings, FileSettings):
        paths = _make("category", max_characters=LONGEST_PATH)
        return KINDS["category"].parse(raw, paths, marks).values if is_text(raw.type) else raw
    values = KINDS[settings.kind].parse(raw, settings, marks).values
    return values.dictionary_encode() if settings.kind == "text" else values


def agree_in_families(seen: Mapping[str, Observed], table: pa.Table) -> dict[str, Observed]:
    """The columns, where one that seems boolean is a number if its numbered siblings are.

    Of `pixel_1` to `pixel_64`, one may have been 0 or 1 so far; a 2 would later be a reject of a boolean.
    """
    numbers = {_family(name) for name, found in seen.items() if found.settings.kind == "number"} - {None}
    flags = [name for name, found in seen.items() if found.settings.kind == "boolean" and _family(name) in numbers]
    return {**seen, **{name: _as_number(seen[name], table[name]) for name in flags}}


def _family(name: str) -> str | None:
    """The name without its digits, None for a name that has none."""
    family = re.sub(r"\d+", "#", name)
    return family if family != name else None


def _as_number(found: Observed, column: pa.ChunkedArray) -> Observed:
    settings = _make("number")
    parsed = KINDS["number"].parse(as_array(column), settings, (*DEFAULT_MISSING, *found.marks))
    return found if parsed.refusals else replace(found, settings=settings, values=parsed.values)


def _found_marks(texts: pa.Array | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Marks that occur, and all that the column should be read with."""
    if texts is None:
        return (), DEFAULT_MISSING
    present = set(pc.unique(texts).to_pylist())
    usual = tuple(mark for mark in DEFAULT_MISSING if mark in present)
    extra = tuple(mark for mark in EXTRA_MARKS if mark in present)
    if extra and _reads_as_quantity(texts, (*DEFAULT_MISSING, *extra)):
        return (*usual, *extra), (*DEFAULT_MISSING, *extra)
    return usual, DEFAULT_MISSING


def _reads_as_quantity(texts: pa.Array, marks: tuple[str, ...]) -> bool:
    known = _distinct_texts(texts, marks)
    return bool(len(known)) and (_parses("number", known, {}) or _date_format(known) is not None)


def _settings(name: str, raw: pa.Array, texts: pa.Array | None, marks: tuple[str, ...]) -> ColumnSettings:
    if texts is not None:
        return _settings_of_text(name, texts, _distinct_texts(texts, marks))
    if pa.types.is_boolean(raw.type):
        return _make("boolean")
    if pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type):
        return _make("datetime")
    if is_numeric(raw.type):
        return _settings_of_number(name, pc.unique(raw.drop_null()))
    return _make((_is_binary(raw.type) and kind_of_contents(raw)) or "category")


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _settings_of_text(name: str, texts: pa.Array, known: pa.Array) -> ColumnSettings:
    if not len(known):
        return _make("category")
    if _parses("number", known, {}):
        zeros = pc.any(pc.match_substring_regex(known, r"^0\d")).as_py()
        dated = bool(TIME_NAME.search(name)) and _parses("datetime", known.slice(0, PROBED), {"format": "%Y%m%d"})
        if dated:
            return _make("datetime", format="%Y%m%d")
        return _make("category") if zeros else _settings_of_number(name, known.cast(pa.float64()))
    if set(pc.utf8_lower(known).to_pylist()) <= {*TRUE, *FALSE}:
        return _make("boolean")
    found = _date_format(known)
    if found is not None:
        return _make("datetime", **({"format": found} if found else {}))
    files = kind_of_paths(known)
    if files:
        return _make(files)
    rows = int(pc.sum(pc.is_in(texts, value_set=known)).as_py())
    return _make("text" if reads_as_prose(name, known, rows) else "category")


def _settings_of_number(name: str, distinct: pa.Array) -> ColumnSettings:
    values = np.asarray(distinct.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    values = values[np.isfinite(values)]
    if len(values) and set(values.tolist()) == {0.0, 1.0}:
        return _make("boolean")
    if TIME_NAME.search(name) and len(values):
        for unit, scale in UNIX_SPANS.items():
            if values.min() >= FIRST_STAMP * scale and values.max() <= LAST_STAMP * scale:
                return _make("datetime", format=unit)
    return _make("number")


def _date_format(known: pa.Array) -> str | None:
    """The format in which all texts read as dates: "" for ISO 8601, None where there is no such format."""
    probe = known.slice(0, PROBED)
    if not pc.all(pc.match_substring_regex(probe, r"\d")).as_py():
        return None
    for pattern in ("", *DATE_FORMATS):
        if _parses("datetime", probe.slice(0, 5), {"format": pattern or None}) and _parses(
            "datetime", probe, {"format": pattern or None}
        ):
            return pattern
    return None


def _parses(kind: str, known: pa.Array, settings: dict[str, Any]) -> bool:
    parsed = KINDS[kind].parse(known, _make(kind, **settings), ())
    return not any(refusal.reason == "wrong type" for refusal in parsed.refusals)


def _make(kind: str, **settings: Any) -> ColumnSettings:
    made: ColumnSettings = KINDS[kind].settings(**settings)
    return made


def _distinct_texts(texts: pa.Array, marks: Sequence[str]) -> pa.Array:
    distinct = pc.unique(texts).drop_null()
    return distinct.filter(pc.invert(pc.is_in(distinct, value_set=pa.array(["", *marks]))))


def _is_key(name: str, values: pa.Array, distinct: int, file: NDArray[np.int64]) -> bool:
    """Whether values are one per row and look like an identity: words, a counter, or whole numbers with such a name."""
    if len(values) < FEWEST_ROWS or (values.null_count and not _names_identity(name)):
        return False
    file, values = file[np.asarray(values.is_valid())], values.drop_null()
    if not len(values):
        return False
    numeric = pa.types.is_floating(values.type)
    if not numeric and not pa.types.is_dictionary(values.type):
        return False
    if numeric:
        numbers = values.to_numpy(zero_copy_only=False)
        return bool((numbers % 1 == 0).all()) and _unique_per_file(numbers, file) and _counts(name, numbers, file)
    return distinct == len(values)


def _unique_per_file(numbers: NDArray[np.float64], file: NDArray[np.int64]) -> bool:
    return len(np.unique(np.stack([file, numbers]), axis=1).T) == len(numbers)


def _counts(name: str, numbers: NDArray[np.float64], file: NDArray[np.int64]) -> bool:
    """Whether the numbers of the first file are a counter, or the name says that they identify."""
    first = numbers[file == file[0]]
    dense = first.max() - first.min() < 1.5 * len(first) and len(first) >= FEWEST_ROWS
    return bool(dense or _names_identity(name))


def _is_group(name: str, values: pa.Array, distinct: int) -> bool:
    """Whether values with a name like `patient_id` repeat, so that rows of one value belong together."""
    whole = pa.types.is_dictionary(values.type) or _whole(values)
    return _names_identity(name) and whole and 10 <= distinct <= len(values) / 2 and not values.null_count


def _whole(values: pa.Array) -> bool:
    if not pa.types.is_floating(values.type):
        return False
    numbers = values.drop_null().to_numpy(zero_copy_only=False)
    return bool((numbers % 1 == 0).all())


def _names_identity(name: str) -> bool:
    words = [word.lower() for word in WORD.findall(name)]
    last = words[-1:] if len(words) > 1 else []
    return bool(ROW_NAME.fullmatch(name)) or not ID_WORDS.isdisjoint(words) or not LAST_ID_WORDS.isdisjoint(last)


def _reason(settings: ColumnSettings, raw: pa.Array, values: pa.Array, distinct: int, key: bool, group: bool) -> str:
    large = isinstance(settings, LargeSettings)
    if pa.types.is_nested(raw.type) or (_is_binary(raw.type) and not large):
        return f"holds {raw.type} values, which no kind reads"
    if not distinct:
        return "missing in every row"
    if distinct == 1 and not values.null_count:
        return "the same in every row"
    if large:
        # Their values are looked into, so that it says nothing that all of them differ.
        return ""
    if key:
        return "looks like a key: each row has its own value"
    if group:
        return "looks like an identity that rows share"
    return _text_reason(values, distinct) if settings.kind == "category" else ""


def _text_reason(values: pa.Array, distinct: int) -> str:
    known = len(values) - values.null_count
    return "nearly every row has its own value" if known >= FEWEST_ROWS and distinct > 0.9 * known else ""
