"""The pass over the sources: rows are checked and staged as they come, then those that may not stay are taken out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns.kind import Mask
from models.modelfile import ModelFile
from tasks.data import parts
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.checks import Checked, Rule, check_batch
from tasks.data.contents import row_bytes, with_contents
from tasks.data.layout import NEWEST, ROW, display_name
from tasks.data.rejects import SCHEMA, RejectsFile, raw_values
from tasks.data.selection import Marks, Selection, join_marks, mark, select
from tasks.data.sources import read_batches
from tasks.data.survey import columns_of_their_own, fill_absent, needed_columns
from tasks.data.windows import Windows, learnt_windows

DUPLICATE = "duplicate key"


@dataclass(frozen=True)
class FileCount:
    """How many rows one file gave; `rows` counts all that it holds."""

    source: str
    path: str
    rows: int
    rejected: int
    skipped: int = 0
    """Rows between the ends of the windows that are learnt from."""


@dataclass(frozen=True)
class Facts:
    """What is counted while rows pass."""

    classes: Counter[str] = field(default_factory=Counter)
    """Rows per class; of a regression the smallest and largest value alone."""
    missing: Counter[str] = field(default_factory=Counter)
    """Missing values per feature."""


@dataclass(frozen=True)
class Room:
    """Where an ingestion works: the folder of the snapshots, one beside it for unfinished files, and the rejects."""

    folder: Path
    aside: Path
    rejects: RejectsFile


@dataclass(frozen=True)
class Intake:
    """The staged parts in the order of the sources."""

    parts: tuple[tuple[SourceFile, parts.StagedPart], ...]
    files: tuple[FileCount, ...]
    facts: Facts
    selection: Selection


def take_in(model_file: ModelFile, files: Sequence[SourceFile], others: Sequence[Rule], room: Room) -> Intake:
    """All rows that may stay, staged as parts; the rest is in the room's rejects or counted in the selection."""
    staged: list[tuple[SourceFile, parts.StagedPart]] = []
    counts: list[FileCount] = []
    marks: list[Marks] = []
    facts = Facts()
    part_rows = parts.rows_of_part(row_bytes(model_file.columns))
    windows = learnt_windows(model_file)
    for file in files:
        before, rows = room.rejects.total, Counter[str]()
        batches = _gathered(model_file, file, others, windows)
        for table in parts.gather(_checked(batches, model_file, others, room.rejects, rows), part_rows):
            marks.append(mark(table, model_file))
            stored = table.drop_columns([NEWEST]) if NEWEST in table.column_names else table
            staged.append((file, parts.stage(stored, room.folder, room.aside)))
            _count(facts, stored, model_file, 1)
        rejected = room.rejects.total - before
        counts.append(FileCount(file.source, file.path, rows.total(), rejected, rows["skipped"]))
    selection = select(join_marks(marks), sum(part.rows for _, part in staged), model_file)
    conflicts = Counter[str]()
    kept = tuple(_take_out(staged, selection, model_file, room, facts, conflicts))
    counted = tuple(replace(count, rejected=count.rejected + conflicts[count.path]) for count in counts)
    return Intake(kept, counted, facts, selection)


def _gathered(
    model_file: ModelFile, file: SourceFile, others: Sequence[Rule], windows: Windows | None
) -> Iterator[RawBatch]:
    """The rows of a file with what belongs to them but lies elsewhere: absent columns, windows, contents of files."""
    wanted = dict.fromkeys([*needed_columns(model_file), *(rule.column for rule in others)])
    declared = next((source.split for source in model_file.sources if source.uri == file.source), None)
    alone = columns_of_their_own(model_file) if declared else ()
    full = (fill_absent(batch, wanted, alone) for batch in read_batches(file, wanted))
    whole = windows.of(full, declared or "") if windows else full
    return with_contents(whole, file, model_file.columns, model_file.data.missing)


def _checked(
    batches: Iterator[RawBatch],
    model_file: ModelFile,
    others: Sequence[Rule],
    rejects: RejectsFile,
    rows: Counter[str],
) -> Iterator[Checked]:
    """The checked batches; `rows` counts what was read."""
    missing, sensitive = model_file.data.missing, model_file.sensitive
    for batch in batches:
        checked = check_batch(batch, model_file.columns, missing, others=others, sensitive=sensitive)
        rejects.add(checked.rejects)
        rows["rows"] += len(batch.rows) + len(batch.malformed)
        rows["skipped"] += batch.skipped
        yield checked


def _count(facts: Facts, table: pa.Table, model_file: ModelFile, sign: int) -> None:
    """Adds the table to the facts, or takes it away."""
    for name in model_file.columns:
        facts.missing[name] += sign * table[name].null_count
    target = table[model_file.target.column]
    if pa.types.is_dictionary(target.type):
        for entry in pc.value_counts(target.cast(pa.string())):
            facts.classes[entry["values"].as_py()] += sign * entry["counts"].as_py()
    elif len(table):
        for value in pc.min_max(target).as_py().values():
            facts.classes[str(value)] += sign


def _take_out(
    staged: Sequence[tuple[SourceFile, parts.StagedPart]],
    selection: Selection,
    model_file: ModelFile,
    room: Room,
    facts: Facts,
    conflicted: Counter[str],
) -> Iterator[tuple[SourceFile, parts.StagedPart]]:
    """The parts without the rows that were not selected; parts that stay whole are not read again.

    Adds to `conflicted` the rows per file that share a key with a row that says otherwise.
    """
    start = 0
    for file, part in staged:
        keep, conflicts = (mask[start : start + part.rows] for mask in (selection.keep, selection.conflicts))
        start += part.rows
        if keep.all():
            yield file, part
            continue
        table = parts.load(part, room.folder)
        _count(facts, table, model_file, -1)
        conflicted[file.path] += int(conflicts.sum())
        room.rejects.add(_conflict_rejects(table, conflicts, file, model_file))
        rest = table.filter(pa.array(keep)).combine_chunks()
        _count(facts, rest, model_file, 1)
        if len(rest):
            yield file, parts.stage(rest, room.folder, room.aside)


def _conflict_rejects(table: pa.Table, conflicts: Mask, file: SourceFile, model_file: ModelFile) -> pa.Table:
    taken = table.filter(pa.array(conflicts))
    named = {display_name(name): taken[name] for name in taken.column_names if name != ROW}
    count = int(np.count_nonzero(conflicts))
    return pa.table(
        {
            "source": [file.path] * count,
            "row": taken[ROW],
            "column": ["; ".join(model_file.split.key)] * count,
            "reason": [DUPLICATE] * count,
            "values": raw_values(pa.table(named), model_file.sensitive),
        },
        schema=SCHEMA,
    )
