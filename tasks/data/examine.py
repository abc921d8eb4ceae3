"""Everything that is wrong or odd about a model file and its data, said at once, with nothing kept."""

import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.behaviour import task_problems
from models.classes import typed
from models.columns.kind import LargeSettings
from models.condition import outputs_of
from models.errors import InputError
from models.modelfile import ModelFile, gate_problems, read_model_file
from models.problems import near_match
from models.sections import SPLITS, Task
from tasks.data.batches import SourceFile
from tasks.data.intake import Intake, Room, take_in
from tasks.data.layout import target_parser
from tasks.data.leaks import find_leaks
from tasks.data.manifest import PARTS, Snapshot
from tasks.data.observe import Observed, observe
from tasks.data.rejects import SEPARATOR, RejectsFile
from tasks.data.sample import read_sample
from tasks.data.snapshot import build_manifest, find_rules, find_task, judge, publish_parts, short_series
from tasks.data.sources import peek, resolve
from tasks.data.splits import count_splits, fit_split, required_columns
from tasks.data.survey import needed_columns, survey
from tasks.data.windows import TOO_SHORT

EXAMPLES = 5
FEWEST_OF_CLASS = 10
"""Rows of a class below which no split has enough of them."""


ASTRIDE_NAME = "astride of two"


@dataclass(frozen=True)
class Examination:
    """What `perennial check` shows; plain values, so that `as_json` is a JSON object."""

    problems: tuple[str, ...] = ()
    """What stops a training; empty when all is well."""
    warnings: tuple[str, ...] = ()
    task: str | None = None
    read: int = 0
    """Rows in all files."""
    rows: int = 0
    """Rows that a snapshot would hold."""
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: tuple[dict[str, Any], ...] = ()
    """Some rejects: source, row, column, reason, values."""
    classes: dict[str, int] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    """Share of missing values of the columns that have any."""
    splits: dict[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    """Columns of the data that the model file does not name."""
    files: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether training can start."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON types."""
        return {"passed": self.passed, **asdict(self)}


def examine(path: Path) -> Examination:
    """Every problem of the model file at `path` and of its data. Reads all rows, raises nothing for bad ones."""
    try:
        model_file = read_model_file(path)
    except InputError as error:
        return Examination(problems=(*error.problems, *_data_problems(path)))
    return examine_data(model_file)


def examine_data(model_file: ModelFile) -> Examination:
    """Every problem of the data by a model file that is in order."""
    problems: list[str] = []
    try:
        model_file = _without_absent(model_file, problems)
        found = survey(model_file)
        task = find_task(model_file, found.files)
        problems.extend([*gate_problems(model_file.gates, task), *task_problems(model_file.behaviour, task)])
        with tempfile.TemporaryDirectory(prefix="perennial-check-") as folder:
            result = _examine_rows(model_file, found.files, task, Path(folder))
        odd = _oddities(model_file, found.files, task)
    except InputError as error:
        return Examination(problems=(*problems, *error.problems))
    named = set(needed_columns(model_file))
    unused = tuple(name for name in found.names if name not in named)
    empty = [f"column {name!r} is missing in every row" for name, share in result["missing"].items() if share == 1]
    result["problems"] = (*problems, *result["problems"])
    short = short_series(result["reasons"].get(TOO_SHORT, 0), result["read"])
    few, unsent = _too_few(model_file, result["splits"]), _unsent(model_file, result["classes"], found.names)
    warnings = (*found.warnings, *empty, *short, *few, *unsent, *odd)
    return Examination(warnings=warnings, unused=unused, files=tuple(file.path for file in found.files), **result)


def _without_absent(model_file: ModelFile, problems: list[str]) -> ModelFile:
    """The model file without features that no file has, each of them a problem, so that the rest is looked at too."""
    try:
        survey(model_file)
        return model_file
    except InputError as error:
        names = {name for file in _files(model_file) for name in peek(file).schema.names}
        rest = {name: settings for name, settings in model_file.columns.items() if name in names}
        needed = set(needed_columns(model_file)) - set(model_file.columns)
        if not rest or needed - names:
            raise
        problems.extend(error.problems)
        return model_file.model_copy(update={"columns": rest})


def _files(model_file: ModelFile) -> list[SourceFile]:
    return [file for source in model_file.sources for file in resolve(source.uri)]


def _examine_rows(model_file: ModelFile, files: Sequence[SourceFile], task: Task, folder: Path) -> dict[str, Any]:
    (folder / PARTS).mkdir()
    with RejectsFile(folder / "rejects.parquet") as rejects:
        intake = take_in(model_file, files, find_rules(model_file, task, files), Room(folder, folder, rejects))
        rejects.close()
        problems = list(judge(model_file, task, intake, rejects.reasons))
        splits, problem = _try_split(model_file, task, intake, folder)
        examples = _examples(pq.read_table(rejects.path))
    rows = sum(part.rows for _, part in intake.parts)
    missing = {name: count / rows for name, count in intake.facts.missing.items() if count and rows}
    return {
        "problems": (*problems, *problem),
        "task": task,
        "read": sum(file.rows for file in intake.files),
        "rows": rows,
        "rejected": rejects.total,
        "reasons": dict(rejects.reasons.most_common()),
        "examples": examples,
        "classes": {} if task == "regression" else {name: n for name, n in sorted(intake.facts.classes.items()) if n},
        "missing": missing,
        "splits": splits,
    }


def _examples(rejects: pa.Table) -> tuple[dict[str, Any], ...]:
    """One reject for each first reason, then others; among them those that only lack rows before them come last."""
    reasons = rejects["reason"].to_pandas().str.split(SEPARATOR).str[0]
    order = np.lexsort((reasons == TOO_SHORT, reasons.duplicated()))
    return tuple(rejects.take(pa.array(order[:EXAMPLES])).to_pylist())


def _too_few(model_file: ModelFile, splits: Mapping[str, int]) -> Iterator[str]:
    """That a judgement would end undecided, where it would."""
    needed = model_file.promotion.min_rows
    if splits and splits["test"] < needed:
        advice = "every judgement would be undecided; give more rows, raise split.test or lower promotion.min_rows"
        yield f"{splits['test']} test rows; a judgement needs {needed}: {advice}"


def _unsent(model_file: ModelFile, classes: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    """That rows to be scored would need a column which these rows don't have, to be sent by an action."""
    known = [*outputs_of(typed(list(classes))), *names]
    for action in model_file.actions:
        for name in (name for name in action.columns or () if name not in known):
            where = f"actions.{action.name}.columns: neither data nor predictions have a column {name!r}"
            yield f"{where}, which rows to be scored will need{near_match(name, known)}"


def _try_split(
    model_file: ModelFile, task: Task, intake: Intake, folder: Path
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Rows per split, or why there is none."""
    if not intake.parts:
        return {}, ()
    manifest = build_manifest(model_file, task, intake, folder)
    publish_parts(intake, folder)
    snapshot = Snapshot(folder / "manifest.json", manifest)
    try:
        spec = fit_split(model_file, snapshot)
    except InputError as error:
        return {}, tuple(error.problems)
    counts = count_splits(snapshot.batches(required_columns(spec)), spec)
    named = zip((*SPLITS, ASTRIDE_NAME), counts.tolist(), strict=True)
    return {name: count for name, count in named if count or name in SPLITS}, ()


def _oddities(model_file: ModelFile, files: Sequence[SourceFile], task: Task) -> list[str]:
    """Features that look like keys, texts or leaks; a class that hardly occurs."""
    wanted = [*model_file.columns, model_file.target.column]
    sample = read_sample(files, wanted)
    present = [name for name in model_file.columns if name in sample.table.column_names]
    seen: dict[str, Observed] = {name: observe(name, sample.table[name], sample.file) for name in present}
    cells = sample.table[model_file.target.column]
    truth = target_parser(task, model_file.data.missing)(cells).values
    truth = truth if task == "regression" else truth.cast(pa.string())
    leaks = find_leaks(seen, truth, task, model_file.sensitive)
    odd = [f"column {name!r} may leak the target: {reason}" for name, reason in leaks.items()]
    wrong = ("looks like", "nearly every")
    looked_into = {name for name, settings in model_file.columns.items() if isinstance(settings, LargeSettings)}
    odd += [
        f"column {name!r} {found.left_out}"
        for name, found in seen.items()
        if found.left_out.startswith(wrong) and name not in looked_into
    ]
    odd += [_too_close(name) for name, found in seen.items() if _lost_as_float32(found.values)]
    if task == "regression":
        return odd + [_too_close(model_file.target.column)] * _lost_as_float32(truth)
    return odd + (list(_rare_classes(model_file, truth)) if sample.complete else [])


def _lost_as_float32(values: pa.Array) -> bool:
    """Whether most distinct numbers are another's equal as float32, in which networks compute."""
    if not pa.types.is_floating(values.type):
        return False
    known = values.drop_null().to_numpy(zero_copy_only=False)
    return len(np.unique(known.astype(np.float32))) * 2 < len(np.unique(known))


def _too_close(name: str) -> str:
    advice = "subtract an offset first, or read a date as a datetime"
    return f"column {name!r}: its values differ too little beside their size for float32 to tell them apart; {advice}"


def _rare_classes(model_file: ModelFile, truth: pa.Array) -> Iterator[str]:
    for entry in pc.value_counts(truth.drop_null()).to_pylist():
        if entry["counts"] < FEWEST_OF_CLASS:
            name = "one" if model_file.target.column in model_file.sensitive else repr(entry["values"])
            yield f"class {name} hardly occurs: {entry['counts']} rows are too few to learn it and to judge it"


def _data_problems(path: Path) -> Iterator[str]:
    """What can be said about the data although the model file is not in order: missing files and columns."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return
    names: set[str] = set()
    for source in _tables(raw.get("sources")):
        uri = source.get("uri")
        if not isinstance(uri, str):
            continue
        try:
            for file in resolve(uri if "://" in uri else str(path.parent / uri)):
                names.update(peek(file).schema.names)
        except InputError as error:
            yield from error.problems
    columns, target = raw.get("columns"), raw.get("target")
    wanted = [*columns] if isinstance(columns, dict) else []
    wanted += [target["column"]] if isinstance(target, dict) and isinstance(target.get("column"), str) else []
    for name in wanted:
        if names and name not in names:
            yield f"{path}: the data has no column {name!r}{near_match(name, sorted(names))}"


def _tables(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
