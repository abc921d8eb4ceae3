"""The profile of a training: its columns as they are in the training rows, and the predictions for the test rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.columns.kind import Mask
from models.contract import Contract, SplitSpec
from models.errors import OutsideError
from models.profile import ColumnProfile, Facet, Profile, Rate, write_profile
from tasks.data.rows import assign_rows, masked_batches
from tasks.data.snapshot import Ingested, Snapshot, open_snapshot
from tasks.data.splits import TEST, TRAIN
from tasks.monitoring.counting import Counting
from tasks.monitoring.frames import empty_bins, empty_names, given_names
from tasks.monitoring.vocabulary import Vocabulary, vocabularies_of
from tasks.monitoring.watched import HELD_OUT, Values, watched_in, watched_predictions
from tasks.scoring.predictor import Predictions, Predictor

SAMPLE = 50_000
"""Rows that bins and names are chosen by."""
NONE = Rate(count=0, rows=0)
Parsed: TypeAlias = Mapping[str, pa.Array]


class Predicting(Protocol):
    """A version, in what is needed of it here."""

    @property
    def contract(self) -> Contract:
        """What it takes and returns."""

    def predict(self, columns: Parsed) -> Predictions:
        """Predictions for parsed columns, each [N]."""


@dataclass(frozen=True)
class Rows:
    """Some rows with their parsed columns, in pieces, and a random few of them that fit in memory.

    Both begin anew at each call.
    """

    all: Callable[[], Iterable[Parsed]]
    few: Callable[[], Iterable[Parsed]]


def profile_training(package: Path, manifest: Path, split: SplitSpec, data: Ingested, seed: int) -> Path:
    """The file in `package`, the folder of an exported version, that holds the profile of its training."""
    snapshot, predictor = open_snapshot(manifest), Predictor.load(package)
    assigned = assign_rows(snapshot, split)
    train, test = (_rows(snapshot, assigned == index, predictor.contract, seed) for index in (TRAIN, TEST))
    known = vocabularies_of(package, predictor.contract)
    profile = profile_rows(predictor, known, train, test, Rate(count=data.rejected, rows=data.read))
    try:
        return write_profile(profile, package)
    except OSError as error:
        raise OutsideError(f"{package}: the profile can't be written ({error.strerror})") from None


def profile_rows(
    predictor: Predicting, known: Mapping[str, Vocabulary], train: Rows, test: Rows, rejected: Rate
) -> Profile:
    """The profile of training rows; what only unseen rows can tell, the predictions among it, is of the test rows."""
    contract = predictor.contract
    frame = _frame(predictor, known, train, test)
    learnt, unseen = Counting(contract, frame, known), Counting(contract, frame, known)
    for columns in train.all():
        learnt.add_columns(columns)
    for columns in test.all():
        unseen.add(columns, predictor.predict(columns))
    return _joined(learnt.profile(rejected), unseen.profile(NONE))


def _rows(snapshot: Snapshot, mask: Mask, contract: Contract, seed: int) -> Rows:
    places = np.flatnonzero(mask)
    chosen = np.random.default_rng(seed).choice(places, min(SAMPLE, len(places)), replace=False)
    few = np.zeros_like(mask)
    few[chosen] = True
    return Rows(lambda: _parsed(snapshot, mask, contract), lambda: _parsed(snapshot, few, contract))


def _parsed(snapshot: Snapshot, mask: Mask, contract: Contract) -> Iterator[Parsed]:
    settings = {column.name: column.settings for column in contract.columns}
    for piece in masked_batches(snapshot, mask, list(settings)):
        yield {
            name: KINDS[each.kind].parse(piece.column(name), each, contract.missing).values
            for name, each in settings.items()
        }


def _frame(predictor: Predicting, known: Mapping[str, Vocabulary], train: Rows, test: Rows) -> Profile:
    """Cells that suit a few of the rows, all of them empty."""
    contract = predictor.contract
    learnt = [_watched(columns, contract, known) for columns in train.few()]
    unseen = [_watched(columns, contract, known) for columns in test.few()]
    said = [watched_predictions(predictor.predict(columns), contract) for columns in test.few()]
    columns = {}
    for column in contract.columns:
        kind, hidden = KINDS[column.settings.kind], column.settings.sensitive
        facets = {
            name: _empty(pieces, not kind.moves, hidden)
            for name, pieces in _gathered([each[column.name] for each in learnt]).items()
            if name not in HELD_OUT
        }
        facets |= {
            name: _empty(pieces, not kind.moves, hidden)
            for name, pieces in _gathered([each[column.name] for each in unseen]).items()
            if name in HELD_OUT
        }
        columns[column.name] = ColumnProfile(kind=column.settings.kind, facets=facets)
    predicted = {name: _empty(pieces, True, False) for name, pieces in _gathered(said).items()}
    if contract.classes:
        predicted["label"] = given_names(contract.classes)
    overlap = contract.series.window if contract.series else 1
    return Profile(
        rows=0, rejected=NONE, overlap=overlap, columns=columns,
        predictions=ColumnProfile(kind=contract.task, facets=predicted),
    )  # fmt: skip


def _watched(columns: Parsed, contract: Contract, known: Mapping[str, Vocabulary]) -> dict[str, Mapping[str, Values]]:
    return {c.name: watched_in(c, columns[c.name], known.get(c.name)) for c in contract.columns}


def _gathered(pieces: list[Mapping[str, Values]]) -> dict[str, list[Values]]:
    return {name: [piece[name] for piece in pieces] for name in (pieces[0] if pieces else ())}


def _empty(pieces: list[Values], judged: bool, sensitive: bool) -> Facet:
    if isinstance(pieces[0], np.ndarray):
        return NONE if pieces[0].dtype == bool else empty_bins(np.concatenate(pieces), judged)
    return empty_names(pa.chunked_array(pieces).unify_dictionaries(), sensitive)


def _joined(learnt: Profile, unseen: Profile) -> Profile:
    """The training rows' profile, with what the test rows alone can tell."""
    columns = {
        name: column.model_copy(update={"facets": {**column.facets, **_only_unseen(unseen.columns[name])}})
        for name, column in learnt.columns.items()
    }
    return learnt.model_copy(update={"columns": columns, "predictions": unseen.predictions})


def _only_unseen(column: ColumnProfile) -> dict[str, Facet]:
    return {name: facet for name, facet in column.facets.items() if name in HELD_OUT}
