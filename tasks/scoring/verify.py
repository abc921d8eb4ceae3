"""Whether an output is whole: every file of its manifest there and unchanged, and every row accounted for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import InputError
from tasks.scoring.destination import PREDICTIONS, REJECTS, destination
from tasks.scoring.ledger import FORMAT_VERSION
from tasks.scoring.sinks import sha256_of
from tasks.scoring.writers import stated_rows


@dataclass(frozen=True)
class Verified:
    """What a finished run says of itself, and what is wrong with its output."""

    model: str
    version: str
    run_id: str
    rows: int
    scored: int
    rejected: int
    files: int
    problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(output: Path) -> Verified:
    """Reads every file of the output once. Raises InputError where no finished run has left its manifest."""
    manifest = read_manifest(output)
    wanted = destination(output)
    root = wanted.output.parent if wanted.one_file else wanted.output
    problems = [*_file_problems(root, manifest["files"]), *_count_problems(manifest)]
    if not wanted.one_file:
        problems += _strays(root, {file["name"] for file in manifest["files"]})
    told = {name: manifest[name] for name in ("model", "version", "run_id", "rows", "scored", "rejected")}
    return Verified(**told, files=len(manifest["files"]), problems=tuple(problems))


def read_manifest(output: Path) -> dict[str, Any]:
    """What a finished run says of itself. Raises InputError where there is none, or one of a later format."""
    path = destination(output).manifest
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{output}: no finished scoring run has written here; {path.name} is missing") from None
    except ValueError:
        raise InputError(f"{path}: damaged, not JSON") from None
    if manifest.get("format_version", 0) > FORMAT_VERSION:
        raise InputError(
            f"{path}: format version {manifest['format_version']} is newer than {FORMAT_VERSION}, this release's; "
            "upgrade perennial"
        )
    return manifest


def _file_problems(root: Path, files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for file in files:
        path = root / file["name"]
        if not path.is_file():
            yield f"{path}: missing; it held {file['rows']:,} rows"
        elif path.stat().st_size != file["bytes"] or sha256_of(path) != file["sha256"]:
            yield f"{path}: changed since it was written"
        elif stated_rows(path, "parquet" if path.suffix.lower() == ".parquet" else "csv") not in (None, file["rows"]):
            yield f"{path}: does not hold {file['rows']:,} rows"


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


def _strays(root: Path, known: set[str]) -> Iterator[str]:
    for what in (PREDICTIONS, REJECTS):
        for path in sorted((root / what).glob("*")):
            if f"{what}/{path.name}" not in known:
                yield f"{path}: no part of the run"
