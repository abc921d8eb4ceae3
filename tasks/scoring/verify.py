"""Whether an output is whole: every file of its manifest there and unchanged, and every row accounted for."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from models.errors import InputError
from tasks.scoring.destination import PREDICTIONS, REJECTS, Destination
from tasks.scoring.ledger import FORMAT_VERSION
from tasks.scoring.store import LocalStore, Store
from tasks.scoring.writers import stated_rows

BLOCK = 1 << 22
"""Bytes that are read at a time."""


@dataclass(frozen=True)
class Finished:
    """The files of an output, where it is."""

    shown: str
    """Folder of the files, as people know it."""
    store: Store
    manifest: str
    """Name of the manifest there."""
    folder: bool
    """Whether all that is in the folders of predictions and rejects is the run's."""
    names: frozenset[str] = frozenset()
    """Of the files, where they are known without the manifest."""


def finished_here(wanted: Destination) -> Finished:
    """An output on this machine."""
    root = wanted.output.parent if wanted.one_file else wanted.output
    names = frozenset((wanted.predictions.name, wanted.rejects.name)) if wanted.one_file else frozenset()
    return Finished(str(root), LocalStore(root), wanted.manifest.name, not wanted.one_file, names)


def read_manifest(output: Finished) -> dict[str, Any]:
    """What a finished run says of itself. Raises InputError where there is none, or one of a later format."""
    path = f"{output.shown}/{output.manifest}"
    content = output.store.read(output.manifest)
    if content is None:
        raise InputError(f"{path}: missing; no finished scoring run has written here")
    try:
        manifest: dict[str, Any] = json.loads(content)
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON") from None
    if manifest.get("format_version", 0) > FORMAT_VERSION:
        raise InputError(
            f"{path}: format version {manifest['format_version']} is newer than {FORMAT_VERSION}, this release's; "
            "upgrade perennial"
        )
    return manifest


def verify(output: Finished) -> list[str]:
    """A line for each thing that is wrong, after reading every file of the output once.

    Raises InputError where no finished run has left its manifest.
    """
    manifest = read_manifest(output)
    problems = [problem for file in manifest["files"] if (problem := _file_problem(output, file))]
    problems += _count_problems(manifest)
    told = {file["name"] for file in manifest["files"]}
    if output.names and told != output.names:
        others = ", ".join(sorted(told - output.names)) or "fewer files"
        problems.append(
            f"{output.shown}/{output.manifest}: tells of {others}, not of {', '.join(sorted(output.names))}"
        )
    return problems + list(_strays(output, told)) if output.folder else problems


def _file_problem(output: Finished, file: Mapping[str, Any]) -> str | None:
    path = f"{output.shown}/{file['name']}"
    try:
        opened = output.store.open(file["name"])
    except FileNotFoundError:
        return f"{path}: missing; it held {file['rows']:,} rows"
    with opened:
        if opened.size() != file["bytes"] or _sha256(opened) != file["sha256"]:
            return f"{path}: changed since it was written"
        opened.seek(0)
        if file["name"].lower().endswith(".parquet") and stated_rows(opened, "parquet") != file["rows"]:
            return f"{path}: does not hold {file['rows']:,} rows"
    return None


def _sha256(opened: pa.NativeFile) -> str:
    found = hashlib.sha256()
    while block := opened.read(BLOCK):
        found.update(block)
    return found.hexdigest()


def _count_problems(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Counts of the manifest that do not agree with each other."""
    rows, scored, rejected, passed = (manifest[name] for name in ("rows", "scored", "rejected", "passed"))
    if rows != scored + rejected + passed:
        yield f"{rows:,} rows were read, but {scored:,} scored and {rejected:,} rejected"
    due = {PREDICTIONS: scored, REJECTS: rejected}
    for what, count in due.items():
        held = sum(file["rows"] for file in manifest["files"] if file["what"] == what)
        if held != count:
            yield f"{what}: its files hold {held:,} rows, not {count:,}"
    for shard in manifest["shards"]:
        if shard["rows"] != shard["scored"] + shard["rejected"] + shard["passed"]:
            yield f"{shard['source']}: shard {shard['shard']} does not add up"
    if rows != sum(shard["rows"] for shard in manifest["shards"]):
        yield f"the shards do not hold {rows:,} rows"


def _strays(output: Finished, known: set[str]) -> Iterator[str]:
    for what in (PREDICTIONS, REJECTS):
        for name in output.store.names(what):
            if f"{what}/{name}" not in known:
                yield f"{output.shown}/{what}/{name}: no part of the run"
