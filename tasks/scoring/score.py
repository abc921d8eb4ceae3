"""Scoring: shard after shard, read ahead and written behind, each row in exactly one of predictions and rejects."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from models.columns.cells import as_array
from models.contract import Contract
from models.errors import InputError, UnreachableError
from tasks.actions.deliver import require_tokens
from tasks.actions.outboxes import Outboxes
from tasks.actions.select import Actions
from tasks.data.checks import check_batch
from tasks.data.contents import row_bytes
from tasks.data.query import BOUNDS
from tasks.data.rejects import SCHEMA
from tasks.scoring.batch import BatchScorer, Stamp, Watch
from tasks.scoring.destination import PREDICTIONS, REJECTS
from tasks.scoring.inputs import Sources, look_at, pin_sources, settled_schemas
from tasks.scoring.ledger import Entry, Pinned
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.period import Period
from tasks.scoring.predictor import Predictor
from tasks.scoring.reading import Reading
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.run import OnRows, Run
from tasks.scoring.shadow import Shadow, shadow_means
from tasks.scoring.shards import EVERYTHING, rows_of_shards
from tasks.scoring.sinks import Sink
from tasks.scoring.spread import Crew, Spread
from tasks.scoring.store import WAITS
from tasks.scoring.tabletargets import require_tables
from tasks.scoring.tuning import choose
from tasks.scoring.work import Work, found_anywhere

MANY = 200_000
"""Rows from which on it pays to measure how many are best scored at once."""


@dataclass(frozen=True)
class Scores:
    """What a scoring run came to."""

    run_id: str
    rows: int
    scored: int
    rejected: int
    passed: int
    """Rows outside of the period that was asked for."""
    reasons: dict[str, int]
    labels: dict[str, int]
    """Rows by label; empty for a regression."""
    mean: float
    deviation: float
    """Of the values, or of the probabilities of the labels."""
    shadow: dict[str, float]
    """Means over the rows that a second version scored too; empty without one."""
    acts: bool
    """Whether rows wait to be acted upon."""
    seconds: float
    """That this process took; what it took before a kill is not in it."""
    phases: dict[str, float]
    """Seconds of reading, scoring and writing, which overlap; of all workers where there were several."""
    predictions: Path | str
    """A table or a folder in an object store by its URI, without credentials."""
    rejects: Path | str
    watched: tuple[Mapping[str, Any], ...] = ()
    """What was counted of each shard, where the run is watched for drift."""
    sources: tuple[Mapping[str, Any], ...] = ()
    """What the files and queries looked like when the run began, which may have been before a kill."""

    @property
    def looked_at(self) -> bool:
        """Whether any row was not passed over."""
        return self.rows > self.passed


def score_files(
    predictor: Predictor,
    inputs: Sequence[str],
    output: Path | str,
    stamp: Stamp,
    keep: Sequence[str] | None = None,
    overwrite: bool = False,
    on_rows: OnRows = lambda _: None,
    shard_rows: int | None = None,
    shadow: Shadow | None = None,
) -> Scores:
    """Scores every row of the inputs into `output`; see `destination` for its forms.

    `keep` and `shard_rows` are those of `Options`; `on_rows` is told the rows done. A run that ended half-way goes on.
    Raises InputError for inputs none of which can be read, missing columns, and columns that the output's format can't
    hold, before anything is written.
    """
    wanted = wanted_output(output)
    options = Options(shard_rows=shard_rows, why=stamp.why)
    request = Request.of(f"{stamp.model}/{stamp.version}", inputs, options, keep)
    sources = look_at(inputs, wanted)
    with claimed(wanted, overwrite) as sink:
        what_is_left(sink, request, sources, overwrite)
        return score_into(sink, predictor, sources, stamp, request, on_rows, shadow)


def score_into(
    sink: Sink,
    predictor: Predictor,
    sources: Sources,
    stamp: Stamp,
    request: Request,
    on_rows: OnRows = lambda _: None,
    shadow: Shadow | None = None,
    outboxes: Callable[[str], Outboxes] | None = None,
    crew: Crew | None = None,
    watch: Watch | None = None,
) -> Scores:
    """Scores what is missing of an output that is kept to this process, and makes it visible when it is whole.

    `outboxes` gives those of a run by its id, where rows are to be acted upon; they are filled, and not delivered yet.
    Where there is a `crew`, its workers score. `watch` looks at the rows of each shard, once.
    """
    started = time.perf_counter()
    contract, options = predictor.contract, request.options
    actions = Actions(contract.actions, contract.classes) if outboxes and contract.actions else None
    require_tokens(contract.actions if actions else ())
    if sink.pinned and sink.publishing:
        # Its inputs may have changed since, and nothing is read of them any more.
        boxes = outboxes(sink.pinned.run_id) if outboxes and actions else None
        return _end(sink, sink.pinned, sink.begin(sink.pinned, {}), boxes, started, {})
    also = [shadow.predictor.contract] if shadow else []
    kept, sent = settled_schemas(sources, [contract, *also], options.keep, actions.inputs if actions else ())
    sink.require_writable(kept)
    pinned = sink.pinned or _pin(predictor, sources, stamp, request, shadow, watch)
    if watch:
        watch.share = pinned.share
    period = Period.of(options.time, options.since, options.until, contract)
    scorer = BatchScorer(predictor, kept, replace(stamp, run_id=pinned.run_id), shadow, actions, period, sent, watch)
    require_tables(actions.actions if actions else (), scorer.taken_schemas())
    columns = {*kept.names, *sent.names, *([period.column] if period else [])}
    reading = _reading(sources, pinned, [contract, *also], columns)
    if sink.pinned is None and (sources.rows or 0) >= MANY:
        pinned = _fastest(pinned, predictor, reading, options)
    predictor.batch_rows, predictor.threads = pinned.batch_rows, pinned.threads
    schemas = {PREDICTIONS: scorer.schema, REJECTS: SCHEMA}
    done = sink.begin(pinned, schemas)
    boxes = outboxes(pinned.run_id) if outboxes and actions else None
    if boxes:
        boxes.begin(contract.actions, going_on=bool(done))
    run: Run | Spread
    if crew:
        # The rows that were measured are let go, with their file or connection: workers read all of them.
        whole = reading.within(EVERYTHING)
        work = Work(scorer, whole, found_anywhere(sink.wanted), schemas, boxes, options.threads or 1)
        run = _shared(crew, work, sink, done, options.max_rejects, on_rows)
    else:
        run = _go(lambda: Run(scorer, sink, done, options.max_rejects, boxes), reading, on_rows)
    if not run.done and sources.files:
        raise InputError(f"{', '.join(request.inputs)}: no rows")
    return _end(sink, pinned, run.done, boxes, started, run.seconds)


def _end(
    sink: Sink,
    pinned: Pinned,
    done: Mapping[str, Entry],
    boxes: Outboxes | None,
    started: float,
    phases: Mapping[str, float],
) -> Scores:
    """What it came to, when all shards are done and the output is visible."""
    if boxes:
        _require_acted(boxes, done)
    scores = _summed_up(done, pinned, sink, boxes is not None, time.perf_counter() - started, phases)
    sink.finish(_manifest(pinned, scores, done))
    return scores


def _reading(sources: Sources, pinned: Pinned, contracts: Sequence[Contract], columns: Collection[str]) -> Reading:
    """Reads what the first of the contracts needs, these columns, and what the others need."""
    wanted = {*columns, *chain.from_iterable(contract.raw_columns for contract in contracts[1:])}
    return Reading(sources.files, pinned.sources, contracts[0], wanted, pinned.shard_rows)


def _fastest(pinned: Pinned, predictor: Predictor, reading: Reading, options: Options) -> Pinned:
    """With rows that a thread scores at once, and threads, where not given: by a measurement on the first rows."""
    if predictor.execution.batch_rows:
        return pinned
    contract = predictor.contract
    columns = {column.name: column.settings for column in contract.columns}
    # Of texts, batches of similar lengths are made of many more rows than a measurement would have.
    ragged = any(settings.kind == "text" for settings in columns.values())
    batch = None if ragged else reading.first()
    if batch is None or not len(batch.rows):
        return pinned
    table = check_batch(batch, columns, contract.missing).table
    parsed = {name: as_array(table[name]) for name in columns}
    batch_rows, threads = choose(predictor, parsed, options.batch_rows, options.threads)
    return replace(pinned, batch_rows=batch_rows, threads=threads)


def _shared(crew: Crew, work: Work, sink: Sink, done: dict[str, Entry], max_rejects: float, on_rows: OnRows) -> Spread:
    """A run that has done all shards on several workers."""
    run = Spread(work, sink, done, max_rejects)
    run.go(crew, on_rows)
    return run


def _go(begin: Callable[[], Run], reading: Reading, on_rows: OnRows) -> Run:
    """A run that has done all shards; while sources are away it begins again with the missing ones.

    Raises UnreachableError when that has helped to no further shard for about a minute.
    """
    held, waits = -1, iter(WAITS)
    while True:
        run = begin()
        try:
            run.go(reading, on_rows)
        except UnreachableError:
            if len(run.done) > held:
                held, waits = len(run.done), iter(WAITS)
            wait = next(waits, None)
            if wait is None:
                raise
            time.sleep(wait)
        else:
            return run


def _pin(
    predictor: Predictor, sources: Sources, stamp: Stamp, request: Request, shadow: Shadow | None, watch: Watch | None
) -> Pinned:
    large = row_bytes({column.name: column.settings for column in predictor.contract.columns})
    shard_rows = request.options.shard_rows or rows_of_shards(large)
    return Pinned(
        run_id=stamp.run_id,
        asked=request.asked,
        model=stamp.model,
        version=stamp.version,
        also=(shadow.model, shadow.version) if shadow else None,
        inputs=request.inputs,
        options=asdict(request.options),
        sources=pin_sources(sources, shard_rows),
        shard_rows=shard_rows,
        batch_rows=request.options.batch_rows or predictor.batch_rows,
        threads=request.options.threads or predictor.threads,
        started=time.time(),
        earlier=sources.earlier,
        share=watch.share if watch else 1.0,
        executions=tuple(asdict(p.execution) for p in (predictor, *([shadow.predictor] if shadow else []))),
    )


def _manifest(pinned: Pinned, scores: Scores, done: Mapping[str, Entry]) -> dict[str, Any]:
    """What a finished run says of itself; the sink adds the files."""
    shards = [asdict(replace(entry, watched=None)) for _, entry in sorted(done.items())]
    counts = {name: getattr(scores, name) for name in ("rows", "scored", "rejected", "passed", "reasons", "labels")}
    return {**asdict(pinned), "finished": time.time(), **counts, "shards": shards}


def _require_acted(boxes: Outboxes, done: Mapping[str, Entry]) -> None:
    """Passes when what actions take of finished shards is in the outboxes. Raises OutsideError otherwise."""
    taken = [entry.taken for entry in done.values()]
    known = [each for each in taken if each is not None]
    if done:
        boxes.require_kept()
    if len(known) == len(taken):
        boxes.require_rows(_added(known))


def _summed_up(
    done: Mapping[str, Entry], pinned: Pinned, sink: Sink, acts: bool, seconds: float, phases: Mapping[str, float]
) -> Scores:
    # In the order of the shards, so that sums are the same to the bit whichever was done first.
    entries = [entry for _, entry in sorted(done.items())]
    sums = _added(entry.sums for entry in entries)
    mean, deviation = _spread(sums, sum(entry.scored for entry in entries))
    reasons, labels = (_added(entry.reasons for entry in entries), _added(entry.labels for entry in entries))
    return Scores(
        run_id=pinned.run_id,
        rows=sum(entry.rows for entry in entries),
        scored=sum(entry.scored for entry in entries),
        rejected=sum(entry.rejected for entry in entries),
        passed=sum(entry.passed for entry in entries),
        reasons={name: int(count) for name, count in reasons.most_common()},
        labels={name: int(count) for name, count in labels.most_common()},
        mean=mean,
        deviation=deviation,
        shadow=shadow_means(sums),
        acts=acts,
        seconds=seconds,
        phases=dict(phases),
        predictions=sink.predictions,
        rejects=sink.rejects,
        watched=tuple(entry.watched for entry in entries if entry.watched is not None),
        sources=tuple({key: seen[key] for key in seen if key not in BOUNDS} for seen in pinned.sources),
    )


def _spread(sums: Mapping[str, float], rows: int) -> tuple[float, float]:
    """Mean and standard deviation, of sums of the scores and of their squares."""
    mean = sums["scores"] / rows if rows else 0.0
    return mean, math.sqrt(max(sums["squares"] / rows - mean**2, 0.0)) if rows else 0.0


def _added(counts: Iterable[Mapping[str, float]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return found
