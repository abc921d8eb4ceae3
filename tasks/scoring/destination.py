"""Where scored rows go: what an output's name means, and whether it may be written."""

import errno
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from models.errors import InputError
from tasks.scoring.writers import Format

SHOWN = 40
"""Characters of a name that is too long."""
SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".feather": "feather",
    ".arrow": "feather",
}
PREDICTIONS, REJECTS, MANIFEST = "predictions", "rejects", "manifest.json"


@dataclass(frozen=True)
class Destination:
    """Final places of predictions, rejects and manifest: in a folder, or one file and its neighbours."""

    output: Path
    predictions: Path
    """A folder of Parquet files, or one file."""
    rejects: Path
    manifest: Path
    format: Format
    suffix: str
    """Of one file; none for a folder."""

    @property
    def one_file(self) -> bool:
        """Whether all predictions are one file."""
        return bool(self.suffix)

    @property
    def hidden(self) -> str:
        """Name of the folder that holds everything until it is complete."""
        return f".{self.output.name}.partial"


@dataclass(frozen=True)
class RemoteDestination:
    """A folder of Parquet files in an object store."""

    uri: str
    """As it was given, with what is needed to connect."""
    output: str
    """As people may read it."""
    format: Format = "parquet"
    suffix: str = ""

    @property
    def predictions(self) -> str:
        """Folder of the predictions."""
        return f"{self.output}/{PREDICTIONS}"

    @property
    def rejects(self) -> str:
        """Folder of the rejects."""
        return f"{self.output}/{REJECTS}"


AnyDestination: TypeAlias = Destination | RemoteDestination


def remote_destination(uri: str) -> RemoteDestination:
    """Where the rows of an output in an object store go. Raises InputError for the name of a single file."""
    shown = without_credentials(uri).split("?")[0].rstrip("/")
    if any(shown.lower().endswith(suffix) for suffix in SUFFIXES):
        raise InputError(
            f"{shown}: in an object store the output is a folder of Parquet files; give a name without suffix"
        )
    return RemoteDestination(uri, shown)


def without_credentials(uri: str) -> str:
    """The URI without user and password."""
    return re.sub(r"//[^/@]*@", "//", uri, count=1)


def destination(output: Path) -> Destination:
    """Where the rows of an output path go.

    A path with a known suffix is one file, with `NAME.rejects.SUFFIX` and `NAME.SUFFIX.manifest.json` beside it, which
    files of other suffixes do not share; a path without is a folder of Parquet files. Raises InputError for other
    suffixes.
    """
    if not output.suffix:
        return Destination(output, output / PREDICTIONS, output / REJECTS, output / MANIFEST, "parquet", "")
    lower = output.name.lower()
    suffix = max((known for known in SUFFIXES if lower.endswith(known)), key=len, default="")
    if not suffix:
        raise InputError(
            f"{output}: can't write {output.suffix}; use {', '.join(SUFFIXES)}, or a folder's name without a suffix"
        )
    stem, written = output.name[: -len(suffix)], output.name[-len(suffix) :]
    beside = output.with_name(f"{stem}.rejects{written}"), output.with_name(f"{output.name}.{MANIFEST}")
    return Destination(output, output, *beside, SUFFIXES[suffix], suffix)


def require_writable(schema: pa.Schema, wanted: AnyDestination) -> None:
    """Passes when the output's format can hold the columns. Raises InputError with a line for each that it can't."""
    holds = {"parquet": _in_parquet, "feather": lambda _: True, "csv": _in_csv, "jsonl": _in_json}[wanted.format]
    problems = [
        f"{wanted.output}: column {f.name!r} holds {f.type}, which {wanted.suffix or 'Parquet'} can't; "
        "name the columns to write with --keep, without it"
        for f in schema
        if not holds(f.type)
    ]
    if problems:
        raise InputError(*problems)


def _in_parquet(kind: pa.DataType) -> bool:
    return not (pa.types.is_union(kind) or pa.types.is_interval(kind))


def _in_csv(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or _is_binary(kind) or pa.types.is_interval(kind))


def _in_json(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return all(_in_json(kind.field(i).type) for i in range(kind.num_fields))
    return not (_is_binary(kind) or pa.types.is_interval(kind))


def _is_binary(kind: pa.DataType) -> bool:
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(check(kind) for check in checks)


def require_free(wanted: Destination, overwrite: bool) -> None:
    """Passes when the output can take its place. Raises InputError with the reason otherwise."""
    places = (wanted.predictions, wanted.rejects, wanted.manifest)
    if wanted.one_file:
        folders = [path for path in places if path.is_dir()]
        if folders:
            raise InputError(f"{folders[0]}: a folder stands where a file would be written; choose another output")
    elif wanted.output.exists():
        _require_own_folder(wanted)
    taken = [path for path in places if path.exists()]
    if taken and not overwrite:
        shown = wanted.output if wanted.predictions in taken else taken[0]
        raise InputError(f"{shown}: exists already; choose another output or pass --overwrite")


def _require_own_folder(wanted: Destination) -> None:
    if not wanted.output.is_dir():
        raise InputError(f"{wanted.output}: is a file; give a folder's name, or a name that ends in a known suffix")
    own = {PREDICTIONS, REJECTS, MANIFEST, wanted.hidden}
    foreign = sorted(path.name for path in wanted.output.iterdir() if path.name not in own)
    if foreign:
        raise InputError(
            f"{wanted.output}: holds {foreign[0]!r}, which is no output of scoring; choose a folder of its own"
        )


def require_short(wanted: Destination) -> None:
    """Passes names that the file system takes, with all that are made of them. Raises InputError for others."""
    beside = wanted.output.with_name(f"{wanted.hidden}.swept")
    for path in (wanted.output, wanted.rejects, wanted.manifest, beside):
        try:
            path.lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(too_long(wanted.output)) from None


def too_long(output: Path) -> str:
    """What is said of a name that the file system does not take."""
    shown = f"{output.name[:SHOWN]}..."
    return f"{output.parent / shown}: the name is too long for the file system; choose a shorter one"
