"""The rows of a window, read as scoring reads them, and their profile in one pass."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import AbsentError, InputError
from models.profile import Profile, Rate
from tasks.data.contents import row_bytes
from tasks.data.database import is_database
from tasks.data.sources import resolve_each
from tasks.monitoring.outcomes import Labels, Outcomes
from tasks.monitoring.performance import Measured, measure
from tasks.monitoring.vocabulary import Vocabulary
from tasks.monitoring.watching import Watching, joined
from tasks.scoring.batch import NOTHING, BatchScorer, Stamp, Tally
from tasks.scoring.inputs import Sources, look_at, pin_sources, settled_schemas
from tasks.scoring.period import Period
from tasks.scoring.predictor import Predictor
from tasks.scoring.reading import Piece, Reading
from tasks.scoring.request import Options
from tasks.scoring.score import Scores
from tasks.scoring.shards import rows_of_shards


@dataclass(frozen=True)
class Window:
    """What the rows came to."""

    profile: Profile
    rows: int
    """Of the period that was asked for, rejected ones included."""
    rejected: int
    reasons: dict[str, int]
    measured: Measured | None = None
    """What the version does on rows with labels, where they have arrived."""


def find_sources(inputs: Sequence[str], options: Options, known: Sequence[Mapping[str, Any]], new: bool) -> Sources:
    """All files and queries of a window; with `new` only files that look other than those `known` from earlier ones.

    With `new` an input without files has none yet. `inputs` may hold credentials. Raises InputError for `new` with a
    database.
    """
    if new and any(map(is_database, inputs)):
        raise InputError("--new is for files, and an input is a database; say which rows by --since, or by --query")
    there = [uri for uri in inputs if _is_there(uri)] if new else inputs
    if not there:
        return Sources((), (), (), ())
    return look_at(there, None, options.partitions, known if new else (), options.asked)


def nothing_new(sources: Sources) -> str:
    """Why a window of new files has none."""
    return f"no new files: {'earlier windows have read all there are' if sources.tables else 'there are none yet'}"


def _is_there(uri: str) -> bool:
    try:
        return bool(resolve_each(uri))
    except AbsentError:
        return False


def read_by_now(known: Sequence[Mapping[str, Any]], sources: Sources) -> list[Mapping[str, Any]]:
    """What the files of this window and of those before it look like, each as it was read last."""
    files = [seen for seen in sources.fingerprints if "query" not in seen]
    return list({seen["path"]: seen for seen in [*known, *files]}.values())


def profile_window(
    predictor: Predictor,
    known: Mapping[str, Vocabulary],
    stored: Profile,
    sources: Sources,
    options: Options,
    labels: Labels | None = None,
) -> Window:
    """The profile of the rows of the sources, in the cells of the stored one.

    Where the rows have the target, or `labels` hold it, the version is measured on those that have a label.
    Raises InputError for missing columns, and where there are no rows.
    """
    contract = predictor.contract
    settled_schemas(sources, [contract], [])
    period = Period.of(options.time, options.since, options.until, contract)
    tally, outcomes = Tally(), Outcomes.wanted(contract, labels, sources)
    watching = Watching(contract, stored, known, outcomes=outcomes)
    scorer = BatchScorer(predictor, NOTHING, Stamp("", "", ""), period=period, watch=watching)
    shard_rows = rows_of_shards(row_bytes({column.name: column.settings for column in contract.columns}))
    pinned = pin_sources(sources, shard_rows)
    besides = [*([period.column] if period else []), *(outcomes.columns if outcomes else [])]
    reading = Reading(sources.files, pinned, contract, besides, shard_rows)
    for step in reading.steps({}):
        if isinstance(step, Piece):
            scorer.score(step.batch, tally)
    rows = tally.read - tally.passed
    if not rows:
        raise InputError("--input: no rows" + (" in the period" if tally.passed else ""))
    profile = joined(stored, [watching.taken()], Rate(count=tally.rejected, rows=rows))
    return Window(profile, rows, tally.rejected, dict(tally.reasons.most_common()), measure(outcomes))


def window_of(stored: Profile, scores: Scores) -> Window:
    """The window that a scoring run was, of what it has counted."""
    rows = scores.rows - scores.passed
    profile = joined(stored, scores.watched, Rate(count=scores.rejected, rows=rows))
    return Window(profile, rows, scores.rejected, scores.reasons)


def window_digest(sources: Sources, options: Options, window: Window) -> str:
    """SHA-256 of what was read: the same rows of the same files or queries give the same.

    Files are told by their contents, whatever share of their rows was counted. Rows of queries, and of folders that are
    one table, are told by their profile.
    """
    read = [{name: value for name, value in seen.items() if name != "time"} for seen in sources.fingerprints]
    by_contents = all("contents" in seen or "problem" in seen for seen in read)
    counted = None if by_contents else window.profile.model_dump(mode="json")
    asked = [options.since, options.until, options.time, options.partitions]
    told = [read, asked, window.rows, window.reasons, counted]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
