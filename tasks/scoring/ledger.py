"""What a scoring run has pinned and done so far: small JSON files beside its parts, from which a killed run goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from models.errors import InputError
from tasks.scoring.shards import EVERYTHING, Shard, Span
from tasks.scoring.store import Store

FORMAT_VERSION = 1
RUN_FILE, SHARDS, PUBLISHING = "run.json", "shards", "publishing"
SUFFIX = ".json"
"""Of a shard's entry."""


@dataclass(frozen=True)
class Pinned:
    """What stays the same however often the run is started again."""

    run_id: str
    asked: str
    """The version as the command named it."""
    model: str
    version: str
    also: tuple[str, str] | None
    """Model and version that scores the same rows."""
    inputs: tuple[str, ...]
    options: Mapping[str, Any]
    """Of the command, as far as they change what is written."""
    sources: tuple[Mapping[str, Any], ...]
    """Each file or query with what it looked like, in the order in which it is scored."""
    shard_rows: int
    batch_rows: int
    """Rows that one thread scores at once."""
    threads: int
    started: float
    """Seconds since 1970."""
    earlier: tuple[Mapping[str, Any], ...] = ()
    """Sources that earlier runs have scored, and this one was told to leave out."""
    share: float = 1.0
    """Of the rows, that is counted where the run is watched for drift."""
    executions: tuple[Mapping[str, Any], ...] = ()
    """How the graph of the version is run, and that of the second one; none where an earlier release began."""
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class PartFile:
    """One file of the output, under its name there."""

    name: str
    what: str
    """What it holds: predictions or rejects."""
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """One shard that is done."""

    shard: str
    source: str
    first: int
    """Number of its first row."""
    last: int
    rows: int
    scored: int
    rejected: int
    passed: int
    """Rows outside of the period that was asked for."""
    reasons: Mapping[str, int]
    labels: Mapping[str, int]
    files: Mapping[str, PartFile] = field(default_factory=dict)
    """By what they hold: predictions, rejects, and what each action takes; without those that would have no rows."""
    sums: Mapping[str, float] = field(default_factory=dict)
    """Of the predictions, such as of their probabilities, for the run's summary."""
    end: bool = False
    """Whether the source has no more rows."""
    taken: Mapping[str, int] | None = None
    """Rows that each action takes; None where an earlier release wrote it."""
    watched: Mapping[str, Any] | None = None
    """What was counted of its rows, where the run is watched for drift."""


class Ledger:
    """Reads and writes the files of one run."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def pinned(self) -> Pinned | None:
        """What the run that began here has pinned; None where none did."""
        raw = self._json(RUN_FILE)
        return None if raw is None else pinned_of(raw, RUN_FILE)

    def pin(self, pinned: Pinned) -> None:
        """Begins a run."""
        self.store.write(RUN_FILE, as_json(asdict(pinned)))

    def done(self, span: Span = EVERYTHING, after: str = "") -> dict[str, Entry]:
        """Finished shards by name, those behind the name `after`."""
        found = {}
        for name in self.store.names(SHARDS):
            shard = name.removesuffix(SUFFIX)
            raw = self._json(f"{SHARDS}/{name}") if shard > after and span.covers(Shard.of(shard)) else None
            if raw is not None:
                found[raw["shard"]] = entry_of(raw)
        return found

    def enter(self, entry: Entry) -> None:
        """From here on the shard is done."""
        self.store.write(f"{SHARDS}/{entry.shard}{SUFFIX}", as_json(asdict(entry)))

    @property
    def publishing(self) -> bool:
        """Whether all shards of the pinned run are done and its output was about to take its place."""
        mark, pinned = self.store.read(PUBLISHING), self.pinned()
        return mark is not None and pinned is not None and mark.decode() == pinned.run_id

    def publish(self, run_id: str) -> None:
        """From here on the output is what this run makes of it."""
        self.store.write(PUBLISHING, run_id.encode())

    def unpublish(self) -> None:
        """The output is still to be made."""
        self.store.remove(PUBLISHING)

    def _json(self, name: str) -> Any:
        content = self.store.read(name)
        return None if content is None else json.loads(content)


def pinned_of(raw: Mapping[str, Any], where: str) -> Pinned:
    """What was pinned, from JSON. Raises InputError where a newer release wrote it."""
    if raw["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{where}: ledger of format version {raw['format_version']} is newer than {FORMAT_VERSION}, this "
            "release's; upgrade perennial"
        )
    lists = {name: tuple(raw.get(name, ())) for name in ("inputs", "sources", "earlier", "executions")}
    also = tuple(raw["also"]) if raw["also"] else None
    return Pinned(**{**raw, **lists, "also": also})


def entry_of(raw: Mapping[str, Any]) -> Entry:
    """An entry, from JSON."""
    return Entry(**{**raw, "files": {what: PartFile(**file) for what, file in raw["files"].items()}})


def as_json(value: Mapping[str, Any]) -> bytes:
    """For a file that people may read too."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
