"""The rows of a window, read as scoring reads them, and their profile in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import InputError
from models.profile import Profile, Rate
from tasks.data.contents import row_bytes
from tasks.monitoring.counting import Counting
from tasks.monitoring.vocabulary import Vocabulary
from tasks.scoring.batch import NOTHING, BatchScorer, Stamp, Tally
from tasks.scoring.inputs import Sources, pin_sources, settled_schemas
from tasks.scoring.period import Period
from tasks.scoring.predictor import Predictor
from tasks.scoring.reading import Piece, Reading
from tasks.scoring.request import Options
from tasks.scoring.shards import rows_of_shards


@dataclass(frozen=True)
class Window:
    """What the rows came to."""

    profile: Profile
    rows: int
    """Of the period that was asked for, rejected ones included."""
    rejected: int
    reasons: dict[str, int]


def profile_window(
    predictor: Predictor, known: Mapping[str, Vocabulary], stored: Profile, sources: Sources, options: Options
) -> Window:
    """The profile of the rows of the sources, in the cells of the stored one.

    Raises InputError for missing columns, and where there are no rows.
    """
    contract = predictor.contract
    settled_schemas(sources, [contract], [])
    period = Period.of(options.time, options.since, options.until, contract)
    counting, tally = Counting(contract, stored, known), Tally()
    scorer = BatchScorer(predictor, NOTHING, Stamp("", "", ""), period=period, watch=counting.add)
    shard_rows = rows_of_shards(row_bytes({column.name: column.settings for column in contract.columns}))
    pinned = pin_sources(sources, shard_rows)
    reading = Reading(sources.files, pinned, contract, [period.column] if period else [], shard_rows)
    for step in reading.steps({}):
        if isinstance(step, Piece):
            scorer.score(step.batch, tally)
    rows = tally.read - tally.passed
    if not rows:
        raise InputError("--input: no rows" + (" in the period" if tally.passed else ""))
    profile = counting.profile(Rate(count=tally.rejected, rows=rows))
    return Window(profile, rows, tally.rejected, dict(tally.reasons.most_common()))
