"""A look at all sources before any row is read: which files there are, and whether they hold the columns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from models.errors import InputError
from models.modelfile import ModelFile
from models.problems import near_match
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.checks import require_types
from tasks.data.folders import tables_passed_over
from tasks.data.layout import slice_columns
from tasks.data.sharing import read_twice
from tasks.data.sources import peek, resolve


@dataclass(frozen=True)
class Survey:
    """The files of a model file's sources, and what is odd about them without being wrong."""

    files: tuple[SourceFile, ...]
    names: tuple[str, ...]
    """Names of all columns in any file, in the order of their first appearance."""
    warnings: tuple[str, ...]


def needed_columns(model_file: ModelFile) -> tuple[str, ...]:
    """Every raw column that the model file names: features, target, weight and what decides the split."""
    split, weight = model_file.split, model_file.training.weight
    single = [weight, split.group, split.time, split.column, split.newest_by]
    if model_file.series:
        single += [model_file.series.group, model_file.series.time]
    named = [*model_file.columns, model_file.target.column, *split.key, *slice_columns(model_file).values()]
    return tuple(dict.fromkeys([*named, *filter(None, single)]))


def survey(model_file: ModelFile) -> Survey:
    """All files of all sources. Raises InputError with every source or column that is missing everywhere."""
    files, problems = _resolve_all(model_file)
    names: dict[str, list[str]] = {}
    for file in files:
        try:
            schema = peek(file).schema
            for name in schema.names:
                names.setdefault(name, []).append(file.path)
            require_types(schema, model_file.columns, file.path)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(*problems)
    needed = needed_columns(model_file)
    absent = [name for name in needed if name not in names]
    if absent:
        where = files[0].path if len(files) == 1 else f"{files[0].path} and {len(files) - 1} more"
        raise InputError(*(f"{where}: no column {name!r}{near_match(name, names)}" for name in absent))
    alone = columns_of_their_own(model_file)
    own = {name: _declared_files(model_file, files) if name in alone else set() for name in needed}
    partly = [name for name in needed if not {file.path for file in files} <= {*names[name], *own[name]}]
    warnings = [*tables_passed_over(files), *(_partly_absent(name, files, names[name]) for name in partly)]
    return Survey(files, tuple(names), tuple(warnings))


def columns_of_their_own(model_file: ModelFile) -> set[str]:
    """Columns that decide the split, and so are not needed where a source says it; but the group of windows is."""
    series = model_file.series.group if model_file.series else None
    return {*model_file.split.key, *filter(None, [model_file.split.group])} - {series}


def _declared_files(model_file: ModelFile, files: Sequence[SourceFile]) -> set[str]:
    declared = {source.uri for source in model_file.sources if source.split}
    return {file.path for file in files if file.source in declared}


def fill_absent(batch: RawBatch, columns: Collection[str], alone: Collection[str] = ()) -> RawBatch:
    """The batch with columns of nulls for those that its file lacks and other files of the sources have.

    Columns in `alone` give each row a name of its own instead: no other row has the same group or key.
    """
    table = batch.table
    for name in columns:
        if name not in table.column_names:
            named = pa.array([f"{batch.source}, row {row}" for row in batch.rows.tolist()]) if name in alone else None
            table = table.append_column(name, pa.nulls(len(batch.rows)) if named is None else named)
    return replace(batch, table=table)


def _resolve_all(model_file: ModelFile) -> tuple[tuple[SourceFile, ...], list[str]]:
    files: list[SourceFile] = []
    problems: list[str] = []
    for source in model_file.sources:
        try:
            files += resolve(source.uri)
        except InputError as error:
            problems.extend(error.problems)
    return tuple(files), problems + read_twice(files, "sources")


def _partly_absent(name: str, files: tuple[SourceFile, ...], holders: list[str]) -> str:
    without = [file.path for file in files if file.path not in holders]
    return (
        f"column {name!r} is absent from {len(without)} of {len(files)} files, {without[0]} first; it is missing there"
    )
