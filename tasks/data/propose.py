"""A first model file for data that nobody has described yet."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.consistency import RESERVED
from models.errors import InputError
from models.problems import near_match
from models.sections import DEFAULT_MISSING, SplitName, Task
from tasks.data.batches import SourceFile
from tasks.data.files import settle
from tasks.data.folders import tables_passed_over
from tasks.data.layout import SPLIT_WORDS, target_parser
from tasks.data.leaks import find_leaks, names_classes
from tasks.data.modeltext import BESIDE, REPEATED, Gates, render
from tasks.data.observe import FEWEST_ROWS, Observed, agree_in_families, observe
from tasks.data.proposedsplit import ProposedSplit, Together, propose_split
from tasks.data.sample import Sample, read_sample
from tasks.data.sequences import as_channels, find_rhythm
from tasks.data.sources import resolve
from tasks.data.target import decide_task
from tasks.data.together import find_tracks, who_was_recorded

MOST_DISTINCT = 0.5
"""Classes, as a share of the rows, above which texts are names or dates rather than classes."""


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
    left_out: Mapping[str, str]
    """Why each column that is no feature is none."""


def propose(data: Sequence[str], target: str, name: str, folder: Path) -> Proposal:
    """A commented model file called `name`, to be put into `folder`, for the data at the given paths or globs.

    Raises InputError when the data can't be read, has no column `target`, or the target is never there.
    """
    uris = [part for uri in data for part in _split_folders(uri)]
    files = [file for uri in uris for file in resolve(uri)]
    sources = _sources(uris, files, folder)
    sample = read_sample(files)
    seen = _observed(sample, files, target)
    task, truth = _target(sample, target, (*DEFAULT_MISSING, *seen[target].marks), files[0].format == "folder")
    features, leaks, together = _features(seen, target, truth, task, sample, files)
    split = propose_split(features, sample, together, [source.split for source in sources])
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
        rhythm=together.rhythm,
        split=split,
        others=_others(features, split),
        gates=_gates(truth, task),
    )
    left_out = {column: found.left_out for column, found in features.items() if found.left_out}
    findings = [*_findings(sample, features, leaks, task, target, split.reason), *tables_passed_over(files)]
    if together.rhythm and together.rhythm.repeated:
        findings.append(f"column {together.rhythm.time!r}: {together.rhythm.repeated} {REPEATED}")
    return Proposal(text, tuple(findings), left_out)


def _observed(sample: Sample, files: Sequence[SourceFile], target: str) -> dict[str, Observed]:
    """What each column seems to be, the target included."""
    names = sample.table.column_names
    if target not in names:
        raise InputError(f"{files[0].path}: no column {target!r}{near_match(target, names)}")
    if names == [target]:
        raise InputError(f"{files[0].path}: no column besides the target {target!r}; there is nothing to learn from")
    seen = {column: _without_reserved(column, observe(column, sample.table[column], sample.file)) for column in names}
    if files[0].format == "folder":
        seen["group"] = replace(seen["group"], key=False)  # The path names the file.
    return agree_in_families(seen, sample.table)


def _without_reserved(column: str, found: Observed) -> Observed:
    if not column.startswith(RESERVED):
        return found
    return replace(
        found, left_out=f"has a name that starts with {RESERVED!r}, which is reserved", key=False, group=False
    )


def _features(
    seen: Mapping[str, Observed],
    target: str,
    truth: pa.Array,
    task: Task,
    sample: Sample,
    files: Sequence[SourceFile],
) -> tuple[dict[str, Observed], dict[str, str], Together]:
    """All columns but the target, with what speaks against them; which of them leak; and which rows belong together."""
    features = {column: found for column, found in seen.items() if column != target}
    features = {
        column: settle(found, sample, files) if _is_open(found) else found for column, found in features.items()
    }
    leaks = _leaks(features, truth, task)
    features = {column: _without_leak(leaks, column, found) for column, found in features.items()}
    together = Together()
    if any(found.has_files and not found.left_out for found in features.values()):
        together = Together(tracks=find_tracks(features, truth, task, sample))
        features = {column: _beside_files(column, found, together.tracks) for column, found in features.items()}
    else:
        together = Together(rhythm=find_rhythm(features, truth))
        features = as_channels(features, together.rhythm, sample) if together.rhythm else features
    if all(found.left_out for found in features.values()):
        reasons = "; ".join(f"{column!r} {found.left_out}" for column, found in list(features.items())[:5])
        raise InputError(f"{files[0].path}: no column is left to learn from: {reasons}")
    return features, leaks, together


def _is_open(found: Observed) -> bool:
    return found.has_files and not found.left_out


def _beside_files(column: str, found: Observed, tracks: str | None) -> Observed:
    """The column, left out if it stands beside pictures or recordings, which are to speak for themselves."""
    if column == tracks:
        return replace(found, left_out="its values are tracks: rows of one are nearly alike")
    return found if found.has_files or found.left_out else replace(found, left_out=BESIDE)


def _others(features: Mapping[str, Observed], split: ProposedSplit) -> list[str]:
    """Columns by which a person may want to split instead, so that the model is judged on unseen ones."""
    beside = {name: found for name, found in features.items() if found.left_out == BESIDE}
    return who_was_recorded(beside) if "group" not in split.keys else []


def _leaks(features: Mapping[str, Observed], truth: pa.Array, task: Task) -> dict[str, str]:
    """Why columns leak; of identities that rows share, only those that are the classes under other names do."""
    leaks = find_leaks({column: found for column, found in features.items() if not found.left_out}, truth, task)
    shared = {column: found for column, found in features.items() if found.group and task != "regression"}
    named = {column: names_classes(found.values, truth) for column, found in shared.items()}
    return {**leaks, **{column: reason for column, reason in named.items() if reason}}


def _without_leak(leaks: Mapping[str, str], column: str, found: Observed) -> Observed:
    return replace(found, left_out=f"leaks the target: {leaks[column]}", group=False) if column in leaks else found


def _split_folders(uri: str) -> list[str]:
    """The folders of train, test and perhaps validation in which the class folders at `uri` lie; else `uri` itself."""
    files = resolve(uri)
    tops = {path.partition("/")[0] for file in files for path in file.listed if path.count("/") > 1}
    whole = len(files) == 1 and all(path.count("/") > 1 for path in files[0].listed)
    said = {_split_word(top) for top in tops}
    apart = whole and len(said) > 1 and None not in said
    return [_address(files[0], top) for top in sorted(tops)] if apart else [uri]


def _address(file: SourceFile, beneath: str = "") -> str:
    """By which the file, or what lies beneath a folder, is reached alone, in whatever store it is."""
    scheme, _, rest = file.source.partition("://")
    path = (file.path + beneath).rstrip("/")
    if not rest or scheme == "file":
        return path
    _, mark, options = rest.partition("?")
    return f"{scheme}://{path}{mark}{options}"


def _sources(data: Sequence[str], files: Sequence[SourceFile], folder: Path) -> list[ProposedSource]:
    """One source per path given; or one per file where the names of files say which split they are."""
    words = {file.path: _split_word(file.path) for file in files}
    said = {word for word in words.values() if word}
    if len(said) < 2:
        return [ProposedSource(_uri(uri, folder), None) for uri in data]
    if said == {"train", "validation", "test"}:
        return [ProposedSource(_uri(_address(file), folder), words[file.path]) for file in files]
    declared = {path: None if word == "train" else word for path, word in words.items()}
    return [ProposedSource(_uri(_address(file), folder), declared[file.path]) for file in files]


def _split_word(path: str) -> SplitName | None:
    stem = PurePosixPath(path).name.split(".")[0].casefold()
    found = {SPLIT_WORDS[part] for part in re.split(r"[\W_]+", stem) if part in SPLIT_WORDS}
    return next(iter(found)) if len(found) == 1 else None


def _uri(uri: str, folder: Path) -> str:
    if "://" in uri:
        return uri
    path, beneath = Path(uri).absolute(), folder.absolute()
    return path.relative_to(beneath).as_posix() if path.is_relative_to(beneath) else path.as_posix()


def _target(sample: Sample, target: str, marks: tuple[str, ...], in_folders: bool) -> tuple[Task, pa.Array]:
    """The task, and the parsed target; `in_folders` says whether rows are files in folders."""
    task = decide_task([sample.table[target]], marks)
    truth = target_parser(task, marks)(sample.table[target]).values
    truth = truth.cast(pa.string()) if task != "regression" else truth
    distinct = pc.unique(truth).drop_null()
    if not len(distinct):
        advice = "give the folder of the class folders" if in_folders else "choose another column"
        raise InputError(f"target {target!r}: missing in every row; {advice}")
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
    found += [f"column {name!r}: {column.remark}" for name, column in features.items() if column.remark]
    suspects = _suspects(features, leaks)
    found += [
        f"column {name!r} stands beside flags that leak: is it known before {target!r} is?" for name in sorted(suspects)
    ]
    return found


def _named(task: Task) -> str:
    return {"binary": "a binary model", "multiclass": "a multiclass model", "regression": "a regression"}[task]
