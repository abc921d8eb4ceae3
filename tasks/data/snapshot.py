"""Ingestion: sources become one immutable snapshot, addressed by its content; bad rows become rejects with reasons."""

import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from models.behaviour import task_problems
from models.errors import InputError, OutsideError
from models.modelfile import ModelFile, gate_problems
from models.sections import Task
from tasks.aside import folder_aside, in_use
from tasks.data import parts
from tasks.data.batches import SourceFile
from tasks.data.checks import Rule
from tasks.data.intake import FileCount, Intake, Room, take_in
from tasks.data.layout import decide_newest, extra_rules
from tasks.data.manifest import PARTS, Manifest, Part, Snapshot, move_into_place, open_snapshot, write_manifest
from tasks.data.rejects import RejectsFile
from tasks.data.sources import read_batches
from tasks.data.survey import Survey, survey
from tasks.data.target import class_problems, decide_task
from tasks.data.windows import TOO_SHORT

__all__ = ["FileCount", "Ingested", "Snapshot", "find_task", "ingest", "open_snapshot", "snapshot_folder"]

REJECTS = "rejects"
REFUSED = "refused"
LOCK = ".lock"
"""Held while snapshots are written, so that no retention takes their parts away meanwhile."""
MOST_SHORT = 0.5


@dataclass(frozen=True)
class Ingested:
    """What an ingestion did.

    `read` = `rows` + `rejected` + `collapsed` + `superseded` + `outside_window` + `skipped`.
    """

    digest: str
    manifest: Path
    task: Task
    rows: int
    read: int
    new_parts: int
    unchanged: bool
    """The same snapshot was there before."""
    rejected: int
    rejects: Path | None
    reasons: dict[str, int]
    """Rejected rows by their first reason."""
    collapsed: int
    """Rows that repeated another one wholly."""
    superseded: int
    """Rows that gave way to a newer one of the same key."""
    outside_window: int
    skipped: int
    """Rows between the ends of the windows that are learnt from."""
    files: tuple[FileCount, ...]
    warnings: tuple[str, ...]


def snapshot_folder(home: Path, name: str) -> Path:
    """Where the snapshots of a model are kept."""
    return home / "snapshots" / name


def ingest(model_file: ModelFile, home: Path) -> Ingested:
    """The snapshot of the model file's sources as they are now; nothing is written when they are unchanged.

    Raises InputError for missing files or columns, damaged files, gates that the task does not have, too many rejects,
    no rows or one class only; OutsideError when the disk is full or a store can't be reached.
    """
    folder = snapshot_folder(home, model_file.name)
    found = survey(model_file)
    task = find_task(model_file, found.files)
    _require_gates(model_file, task)
    try:
        with _staging(folder) as aside, RejectsFile(aside / "rejects.parquet") as rejects:
            intake = take_in(
                model_file, found.files, find_rules(model_file, task, found.files), Room(folder, aside, rejects)
            )
            rejects.close()
            problems = list(judge(model_file, task, intake, rejects.reasons))
            if problems:
                kept = f"; see {_keep_rejects(rejects, folder, REFUSED)}" if rejects.total else ""
                raise InputError(*(problem + kept for problem in problems))
            return _publish(build_manifest(model_file, task, intake, folder), intake, rejects, found, folder)
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise OutsideError(f"{folder}: the snapshot can't be written: {what}") from None


def find_task(model_file: ModelFile, files: Sequence[SourceFile]) -> Task:
    """The task that the model file states, or that the target's values ask for."""
    cells = _cells(files, model_file.target.column)
    return model_file.target.kind or decide_task(cells, model_file.data.missing)


def find_rules(model_file: ModelFile, task: Task, files: Sequence[SourceFile]) -> tuple[Rule, ...]:
    """The rules besides the features', after a look at how `newest_by` reads in all files."""
    by = model_file.split.newest_by
    return extra_rules(model_file, task, decide_newest(_cells(files, by), model_file.data.missing) if by else "number")


def _cells(files: Sequence[SourceFile], column: str) -> Iterator[pa.ChunkedArray]:
    batches = (batch for file in files for batch in read_batches(file, [column]))
    return (batch.table[column] for batch in batches if column in batch.table.column_names)


def _require_gates(model_file: ModelFile, task: Task) -> None:
    problems = [*gate_problems(model_file.gates, task), *task_problems(model_file.behaviour, task)]
    if problems:
        raise InputError(*(f"{model_file.name}: {problem}" for problem in problems))


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder beside the snapshots, so that finished files can be renamed into place; gone afterwards."""
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    with in_use(folder / LOCK), folder_aside(folder, "staging") as aside:
        yield aside


def judge(model_file: ModelFile, task: Task, intake: Intake, reasons: Counter[str]) -> Iterator[str]:
    """What keeps the data from being learnt from: too many rejects, no rows, or nothing to tell apart."""
    read, rejected = sum(file.rows - file.skipped for file in intake.files), reasons.total() - reasons[TOO_SHORT]
    limit = model_file.data.max_rejects
    if read == reasons[TOO_SHORT]:
        yield f"{model_file.name}: every row is a reject: {TOO_SHORT}; lower series.window, or give longer series"
    elif rejected and (rejected > limit * read or rejected == read - reasons[TOO_SHORT]):
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common() if reason != TOO_SHORT)
        share = f"{rejected} of {read} rows are rejects ({rejected / read:.1%})"
        yield f"{model_file.name}: {share}, more than data.max_rejects = {limit:g} allows: {listed}"
    if reasons.total() < read:
        yield from class_problems(model_file, task, {name: n for name, n in intake.facts.classes.items() if n})


def short_series(short: int, read: int) -> Iterator[str]:
    """A line where most rows end no window, which a gap or a group in the wrong unit would do."""
    if short > read * MOST_SHORT:
        yield f"{short:,} of {read:,} rows end no full window; look at series.window, group and max_gap"


def build_manifest(model_file: ModelFile, task: Task, intake: Intake, folder: Path) -> Manifest:
    """The manifest of what was taken in; there must be at least one part."""
    _, first = intake.parts[0]
    with pq.ParquetFile(parts.path_of(first, folder)) as opened:
        columns = {field.name: str(field.type) for field in opened.schema_arrow}
    counted = {} if task == "regression" else {name: n for name, n in sorted(intake.facts.classes.items()) if n}
    listed = [
        Part(sha256=part.sha256, rows=part.rows, source=file.source, file=file.path) for file, part in intake.parts
    ]
    return Manifest(
        name=model_file.name,
        task=task,
        target=model_file.target.column,
        columns=columns,
        classes=counted,
        parts=tuple(listed),
    )


def publish_parts(intake: Intake, folder: Path) -> int:
    """Number of parts that were not in `folder` before; all are afterwards."""
    return sum(parts.place(part, folder) for _, part in intake.parts)


def _publish(manifest: Manifest, intake: Intake, rejects: RejectsFile, found: Survey, folder: Path) -> Ingested:
    """Parts first, the manifest last: a crash in between leaves files that nothing refers to."""
    new_parts = publish_parts(intake, folder)
    path, written = write_manifest(manifest, folder)
    empty = [name for name, missing in intake.facts.missing.items() if missing == manifest.rows]
    read = sum(file.rows for file in intake.files)
    return Ingested(
        digest=manifest.digest,
        manifest=path,
        task=manifest.task,
        rows=manifest.rows,
        read=read,
        new_parts=new_parts,
        unchanged=not written,
        rejected=rejects.total,
        rejects=_keep_rejects(rejects, folder, manifest.digest) if rejects.total else None,
        reasons=dict(rejects.reasons.most_common()),
        collapsed=intake.selection.collapsed,
        superseded=intake.selection.superseded,
        outside_window=intake.selection.outside_window,
        skipped=sum(file.skipped for file in intake.files),
        files=intake.files,
        warnings=(
            *found.warnings,
            *(f"column {name!r} is missing in every row" for name in empty),
            *short_series(rejects.reasons[TOO_SHORT], read),
        ),
    )


def _keep_rejects(rejects: RejectsFile, folder: Path, name: str) -> Path:
    path = folder / REJECTS / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    move_into_place(rejects.path, path)
    return path
