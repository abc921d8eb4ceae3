"""The one place where raw cells become typed columns, for ingestion and scoring: a row passes whole or is a reject."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from models.columns.kind import Parsed
from models.errors import InputError
from models.problems import near_match
from tasks.data.batches import RawBatch
from tasks.data.rejects import Finding, no_rejects, reject_malformed, reject_rows

MOST_LINES = 5
"""Missing columns that are named one by one."""


@dataclass(frozen=True)
class Rule:
    """How one column of the checked table is made from a raw one."""

    name: str
    """Name in the checked table."""
    column: str
    """Name in the raw table."""
    parse: Callable[[pa.ChunkedArray], Parsed]


@dataclass(frozen=True)
class Checked:
    """A batch sorted into rows that keep all rules and rows that don't; each input row is in exactly one of the two."""

    table: pa.Table
    """Accepted rows, each column in its kind's Arrow type."""
    rows: NDArray[np.int64]
    """Row numbers of the accepted rows within their file, shape [len(table)]."""
    rejects: pa.Table


def feature_rules(columns: Mapping[str, ColumnSettings], missing: Sequence[str]) -> tuple[Rule, ...]:
    """One rule per model column, by its kind's own `parse`."""
    marks = tuple(missing)
    return tuple(Rule(name, name, _parser(settings, marks)) for name, settings in columns.items())


def check_batch(
    batch: RawBatch,
    columns: Mapping[str, ColumnSettings],
    missing: Sequence[str],
    *,
    others: Sequence[Rule] = (),
    sensitive: Collection[str] | None = None,
) -> Checked:
    """The rows of the batch by model columns and `others`, and the rejects with all their reasons.

    `sensitive` are columns whose values are hashed in the rejects; by default those that `columns` says.
    Raises InputError that names every column the batch lacks, with near matches.
    """
    rules = (*feature_rules(columns, missing), *others)
    hidden = {name for name, settings in columns.items() if settings.sensitive} if sensitive is None else sensitive
    require_columns((rule.column for rule in rules), batch.table.column_names, batch.source)
    parsed = {rule.name: rule.parse(batch.gathered.get(rule.name, batch.table[rule.column])) for rule in rules}
    findings = [
        Finding(batch.to_blame(rule.name, refusal.reason) or rule.column, refusal.reason, refusal.rows)
        for rule in rules
        for refusal in parsed[rule.name].refusals
        if refusal.rows.any()
    ]
    table = pa.table({name: column.values for name, column in parsed.items()})
    rows = batch.rows
    rejects = [reject_malformed(batch.source, batch.malformed, hidden)] if batch.malformed else []
    if findings:
        rejects.append(reject_rows(batch, findings, hidden))
        accepted = ~np.logical_or.reduce([finding.rows for finding in findings])
        table, rows = table.filter(pa.array(accepted)), rows[accepted]
    return Checked(table, rows, pa.concat_tables(rejects) if rejects else no_rejects())


def require_columns(wanted: Iterable[str], present: Collection[str], where: str) -> None:
    """Passes when all wanted columns are present. Raises InputError with one line for each that is not."""
    absent = [name for name in dict.fromkeys(wanted) if name not in present]
    if absent:
        lines = [f"{where}: no column {name!r}{near_match(name, present)}" for name in absent[:MOST_LINES]]
        more = len(absent) - len(lines)
        raise InputError(*lines, *([f"{where}: and {more} columns more are missing"] if more else []))


def require_types(schema: pa.Schema, columns: Mapping[str, ColumnSettings], where: str) -> None:
    """Passes when each model column has a type that its kind can read. Raises InputError with a line for each other."""
    found = {f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in schema}
    wrong = [
        f"{where}: column {name!r} holds {found[name]}, which can't be read as a {settings.kind}"
        for name, settings in columns.items()
        if name in found and not KINDS[settings.kind].reads(found[name], settings)
    ]
    if wrong:
        raise InputError(*wrong)


def _parser(settings: ColumnSettings, missing: tuple[str, ...]) -> Callable[[pa.ChunkedArray], Parsed]:
    kind = KINDS[settings.kind]
    return lambda raw: kind.parse(raw, settings, missing)
