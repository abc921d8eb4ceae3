"""A first model file for data that nobody has described yet."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import InputError
from models.problems import near_match
from models.sections import DEFAULT_MISSING, Promotion, Split, SplitName, Task
from tasks.data.batches import SourceFile
from tasks.data.layout import SPLIT_WORDS, target_parser
from tasks.data.leaks import find_leaks
from tasks.data.modeltext import Gates, render
from tasks.data.observe import FEWEST_ROWS, TIME_NAME, Observed, agree_in_families, observe
from tasks.data.sample import Sample, read_sample
from tasks.data.sources import resolve
from tasks.data.target import decide_task

TEST_ROWS = 1.3 * Promotion().min_rows
"""A hash deals rows out by chance, so somewhat more than a judgement needs."""
LARGEST_TEST = 0.4
MOST_DISTINCT = 0.5
"""Classes, as a share of the rows, above which texts are names or dates rather than classes."""
SORTED = 0.99
"""Share of rows no older than the one before, from which on a file is believed to be written in the order of time."""


@dataclass(frozen=True)
class ProposedSource:
    """A source as the model file names it."""

    uri: str
    split: SplitName | None


@dataclass(frozen=True)
class Proposal:
    """A model file that loads as it is, and what was found on the way."""

    text: str
    findings: tuple[str, ...]


def propose(data: Sequence[str], target: str, name: str, folder: Path) -> Proposal:
    """A commented model file called `name`, to be put into `folder`, for the data at the given paths or globs.

    Raises InputError when the data can't be read, has no column `target`, or the target is never there.
    """
    files = [file for uri in data for file in resolve(uri)]
    sources = _sources(data, files, folder)
    sample = read_sample(files)
    if target not in sample.table.column_names:
        raise InputError(f"{files[0].path}: no column {target!r}{near_match(target, sample.table.column_names)}")
    names = sample.table.column_names
    seen = {column: observe(column, sample.table[column], sample.file) for column in names}
    seen = agree_in_families(seen, sample.table)
    if names == [target]:
        raise InputError(f"{files[0].path}: no column besides the target {target!r}; there is nothing to learn from")
    task, truth = _target(sample, target, (*DEFAULT_MISSING, *seen[target].marks))
    features = {column: found for column, found in seen.items() if column != target}
    leaks = find_leaks({column: found for column, found in features.items() if not found.left_out}, truth, task)
    features = {column: replace(found, left_out=_leak(leaks, column, found)) for column, found in features.items()}
    if all(found.left_out for found in features.values()):
        reasons = "; ".join(f"{column!r} {found.left_out}" for column, found in list(features.items())[:5])
        raise InputError(f"{files[0].path}: no column is left to learn from: {reasons}")
    declared = any(source.split for source in sources)
    split, reason = _split(features, sample, declared)
    missing = tuple(dict.fromkeys([*DEFAULT_MISSING, *(mark for found in seen.values() for mark in found.marks)]))
    text = render(
        name=name,
        sources=[(source.uri, source.split) for source in sources],
        target=target,
        task=task,
        classes=_classes(truth, task),
        features=features,
        suspects=_suspects(features, leaks),
        missing=missing if len(missing) > len(DEFAULT_MISSING) else (),
        split=split if declared else {**split, **_test_share(len(sample.table))},
        split_reason=reason,
        gates=_gates(truth, task),
    )
    return Proposal(text, tuple(_findings(sample, features, leaks, task, target, reason)))


def _leak(leaks: Mapping[str, str], column: str, found: Observed) -> str:
    return f"leaks the target: {leaks[column]}" if column in leaks else found.left_out


def _sources(data: Sequence[str], files: Sequence[SourceFile], folder: Path) -> list[ProposedSource]:
    """One source per path given; or one per file where the names of files say which split they are."""
    words = {file.path: _split_word(file.path) for file in files}
    said = {word for word in words.values() if word}
    if len(said) < 2:
        return [ProposedSource(_uri(uri, folder), None) for uri in data]
    if said == {"train", "validation", "test"}:
        return [ProposedSource(_uri(file.path, folder), words[file.path]) for file in files]
    declared = {path: None if word == "train" else word for path, word in words.items()}
    return [ProposedSource(_uri(file.path, folder), declared[file.path]) for file in files]


def _split_word(path: str) -> SplitName | None:
    stem = PurePosixPath(path).name.split(".")[0].casefold()
    found = {SPLIT_WORDS[part] for part in re.split(r"[\W_]+", stem) if part in SPLIT_WORDS}
    return next(iter(found)) if len(found) == 1 else None


def _uri(uri: str, folder: Path) -> str:
    if "://" in uri:
        return uri
    path, beneath = Path(uri).absolute(), folder.absolute()
    return path.relative_to(beneath).as_posix() if path.is_relative_to(beneath) else path.as_posix()


def _target(sample: Sample, target: str, marks: tuple[str, ...]) -> tuple[Task, pa.Array]:
    """The task, and the parsed target."""
    task = decide_task([sample.table[target]], marks)
    truth = target_parser(task, marks)(sample.table[target]).values
    truth = truth.cast(pa.string()) if task != "regression" else truth
    distinct = pc.unique(truth).drop_null()
    if not len(distinct):
        raise InputError(f"target {target!r}: missing in every row; choose another column")
    if len(distinct) == 1:
        raise InputError(f"target {target!r}: the same in every row looked at; there is nothing to learn")
    rows = len(truth) - truth.null_count
    if task == "multiclass" and rows >= FEWEST_ROWS and len(distinct) > MOST_DISTINCT * rows:
        what = f"{len(distinct)} classes in {rows} rows, so that most rows have their own"
        raise InputError(f"target {target!r}: {what}; choose another column, or write numbers for a regression")
    return task, truth


def _classes(truth: pa.Array, task: Task) -> list[tuple[str, int]]:
    """Classes and their counts, the rarest first; of equally rare ones the later in the alphabet, as in training."""
    if task == "regression":
        return []
    counted = [(str(entry["values"]), entry["counts"].as_py()) for entry in pc.value_counts(truth.drop_null())]
    return sorted(sorted(counted, reverse=True), key=lambda pair: pair[1])


def _gates(truth: pa.Array, task: Task) -> Gates:
    """The floor that a model without any feature reaches, which a real one must pass."""
    counts = np.array([count for _, count in _classes(truth, task)])
    if task == "regression":
        return Gates("r2", 0.0, "predicting the mean reaches 0")
    share = counts / counts.sum()
    if task == "binary":
        return Gates(
            "average_precision", round(float(share.min()), 4), "guessing reaches the share of the positive class"
        )
    return Gates("balanced_accuracy", round(1 / len(counts), 4), "always answering one class reaches this")


def _split(features: Mapping[str, Observed], sample: Sample, declared: bool) -> tuple[dict[str, str], str]:
    """The keys of [split], and the sentence that explains them."""
    keys = [name for name, found in features.items() if found.key and _unique(found, len(sample.table))]
    named = [name for name in keys if not re.match(r"(unnamed|index|row)", name, re.IGNORECASE)]
    key = {"key": named[0]} if named else {}
    groups = [name for name, found in features.items() if found.group]
    if declared:
        return key, "the sources say which split their rows belong to"
    time = next((name for name, found in features.items() if _in_order(found, sample)), None)
    if time is not None:
        return {"time": time, **key}, f"rows are in the order of {time!r}: the newest are kept for the test"
    if groups:
        return {"group": groups[0], **key}, f"rows of one {groups[0]!r} stay together"
    if key:
        return key, f"by the hash of {named[0]!r}, so that a row never changes sides"
    return {}, "by the hash of all features, so that a row never changes sides"


def _test_share(rows: int) -> dict[str, float]:
    """A larger share than usual where the test rows would else be too few for a judgement."""
    wanted = TEST_ROWS / rows
    if wanted <= Split().test:
        return {}
    return {"test": min(LARGEST_TEST, math.ceil(wanted * 20) / 20)}


def _unique(found: Observed, rows: int) -> bool:
    return found.distinct == rows


def _in_order(found: Observed, sample: Sample) -> bool:
    """Whether the column holds instants in which the rows were written."""
    if found.settings.kind != "datetime" or found.missing or found.distinct < 10:
        return False
    stamps = found.values.cast(pa.int64()).to_numpy(zero_copy_only=False)
    same_file = np.diff(sample.file) == 0
    ordered = (np.diff(stamps) >= 0)[same_file]
    return bool(TIME_NAME.search(found.name)) and bool(len(ordered)) and float(ordered.mean()) >= SORTED


def _suspects(features: Mapping[str, Observed], leaks: Mapping[str, str]) -> set[str]:
    """Flags beside flags that leak: probably also written down after the fact, although the data can't prove it."""
    names = list(features)
    flags = [found.settings.kind == "boolean" for found in features.values()]
    suspects: set[str] = set()
    for step in (1, -1):
        beside = False
        for i in range(len(names))[::step]:
            beside = flags[i] and (beside or names[i] in leaks)
            if beside and names[i] not in leaks and not features[names[i]].left_out:
                suspects.add(names[i])
    return suspects


def _findings(
    sample: Sample, features: Mapping[str, Observed], leaks: Mapping[str, str], task: Task, target: str, split: str
) -> list[str]:
    """One plain line per thing a person should know."""
    rows = f"{len(sample.table)} rows" + ("" if sample.complete else " looked at, there are more")
    found = [f"{rows}; target {target!r} asks for {_named(task)}", f"split: {split}"]
    found += [f"column {name!r} is left out: {column.left_out}" for name, column in features.items() if column.left_out]
    suspects = _suspects(features, leaks)
    found += [
        f"column {name!r} stands beside flags that leak: is it known before {target!r} is?" for name in sorted(suspects)
    ]
    return found


def _named(task: Task) -> str:
    return {"binary": "a binary model", "multiclass": "a multiclass model", "regression": "a regression"}[task]
