"""What a scoring run is asked to do, and whether an unfinished one was asked the same."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from models.errors import InputError
from tasks.actions.outboxes import Outboxes
from tasks.data.database import without_user
from tasks.data.query import BOUNDS, Asked
from tasks.scoring.inputs import Sources
from tasks.scoring.ledger import Pinned
from tasks.scoring.shards import EVERYTHING
from tasks.scoring.sinks import Sink

HARMLESS = {"max_rejects"}
"""Options that change no row."""
OutboxesOf: TypeAlias = Callable[[str], Outboxes]
"""The outboxes of a run, by its id."""


@dataclass(frozen=True)
class Options:
    """What a run is asked to do besides scoring all rows."""

    keep: tuple[str, ...] | None = None
    """Input columns to write beside the predictions; None for all but sensitive ones."""
    max_rejects: float = 1.0
    """Share of the rows beyond which the run stops."""
    shard_rows: int | None = None
    """Rows of a shard; by their size where it is None."""
    why: bool = False
    """Whether each row says which of its words and columns mattered most."""
    also: str | None = None
    """A second version that scores the same rows."""
    since: str | None = None
    until: str | None = None
    """Rows whose time is earlier than `since`, or not earlier than `until`, are passed over; ISO 8601."""
    time: str | None = None
    """The column that holds the time; the model's own where it is None."""
    partitions: tuple[str, ...] = ()
    """NAME=VALUE of Hive partitions: only files in these folders are read."""
    new_since: str | None = None
    """An earlier output: input files that it has scored already, and that have not changed, are left out."""
    query: str | None = None
    """What databases among the inputs are asked for, instead of a table."""
    key: str | None = None
    version_column: str | None = None
    """See `Asked`."""
    batch_rows: int | None = None
    """Rows that a thread scores at once; by a short measurement where it is None."""
    threads: int | None = None
    """Threads that score; one for each core where it is None."""
    monitor: bool | None = None
    """Whether rows are counted on the way, so that the run is a window too."""

    @property
    def asked(self) -> Asked:
        """What is said about databases."""
        return Asked(self.query, self.key, self.version_column)


@dataclass(frozen=True)
class Request:
    """A scoring run as it is asked for."""

    asked: str
    """The version, as the command names it."""
    inputs: tuple[str, ...]
    """Without credentials."""
    options: Options = Options()

    @classmethod
    def of(cls, asked: str, inputs: Sequence[str], options: Options, keep: Sequence[str] | None) -> "Request":
        """The request, which may be stored and shown; `keep` goes into its options.

        Raises InputError for options out of their range, or that are nothing without another.
        """
        problems = list(_problems(options))
        if problems:
            raise InputError(*problems)
        kept = None if keep is None else tuple(keep)
        since = options.new_since and without_user(options.new_since)
        return cls(asked, tuple(map(without_user, inputs)), replace(options, keep=kept, new_since=since))


def _problems(options: Options) -> Iterator[str]:
    for name in ("shard_rows", "batch_rows", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            yield f"--{name.replace('_', '-')} {value}: give 1 or more"
    if not 0 <= options.max_rejects <= 1:
        yield f"--max-rejects {options.max_rejects:g}: give a share from 0 to 1"
    if options.time and not (options.since or options.until):
        yield f"--time {options.time}: is for --since and --until, and neither is given"


def what_is_left(
    sink: Sink, request: Request, sources: Sources, overwrite: bool, outboxes: OutboxesOf | None = None
) -> Pinned | None:
    """What an unfinished run of the same request has pinned; None where the output is untouched.

    Raises InputError where one was asked something else or its inputs have changed; with `overwrite` it is forgotten,
    unless rows in its `outboxes` wait to be delivered. Inputs do not matter any more to one that has scored all rows.
    """
    if sink.pinned is None:
        return None
    scored = sink.publishing
    differences = list(_differences(sink.pinned, request))
    changes = list(_changes(sink.pinned.sources, sources.fingerprints))
    if not differences and (not changes or (scored and not overwrite)):
        return sink.pinned
    if overwrite and scored and outboxes:
        _require_delivered(sink, sink.pinned, outboxes(sink.pinned.run_id))
    differences += changes
    if not overwrite:
        raise InputError(
            f"{sink.predictions}: an unfinished run, {sink.pinned.run_id}, was {'; '.join(differences)}; repeat its "
            "command on the same inputs to go on with it, or pass --overwrite to start anew"
        )
    sink.reset()
    return None


def _require_delivered(sink: Sink, pinned: Pinned, boxes: Outboxes) -> None:
    """Passes where no row of the run waits to be acted upon.

    Raises InputError otherwise, OutsideError where that can't be told since the outboxes are elsewhere.
    """
    if any(sum((entry.taken or {}).values()) for entry in sink.done(EVERYTHING).values()):
        boxes.require_kept()
    rows = boxes.open_rows() if boxes.begun else {}
    if rows:
        told = ", ".join(f"{count:,} rows of action {name!r}" for name, count in rows.items())
        raise InputError(
            f"{sink.predictions}: {told} of run {pinned.run_id} are not delivered yet, and one that starts anew would "
            "act upon them twice; repeat its command without --overwrite, or send them by --redeliver"
        )


def _differences(pinned: Pinned, request: Request) -> Iterator[str]:
    if pinned.asked != request.asked:
        yield f"asked to score with {pinned.asked}"
    if pinned.inputs != request.inputs:
        yield f"given {', '.join(pinned.inputs)}"
    changing = {name: value for name, value in asdict(request.options).items() if name not in HARMLESS}
    for name, value in changing.items():
        before = pinned.options.get(name)
        if (tuple(before) if isinstance(before, list) else before) != value:
            yield f"given {name.replace('_', ' ')} = {before!r}"


def _changes(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Files that look other than they did; the rows of queries are compared when they are read."""
    known = {source["path"]: {name: source[name] for name in source.keys() - BOUNDS} for source in before}
    for source in now:
        if source["path"] not in known:
            yield f"begun without {source['path']}"
        elif source != known[source["path"]]:
            yield f"begun before {source['path']} changed"
    present = {source["path"] for source in now}
    yield from (f"begun with {path}, which is gone" for path in known if path not in present)
