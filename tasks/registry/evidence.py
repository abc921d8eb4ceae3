"""Gathering what a judgement rests on: both versions on the rows that neither has seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.contract import Contract, SplitSpec
from models.errors import InputError
from models.modelfile import LATENCY, SIZE, ModelFile
from models.packaged import read_model_settings
from models.sections import Hardware
from tasks.data.layout import SOURCE, slice_columns, stored_split_name
from tasks.data.learnt import learnt_rows, may_change_sides
from tasks.data.snapshot import Snapshot, open_snapshot, snapshot_folder
from tasks.data.splits import judged_rows, required_columns
from tasks.evaluation.behaviour import Behaved, try_behaviour
from tasks.evaluation.groups import group_codes
from tasks.evaluation.of_graph import score_rows
from tasks.evaluation.robustness import gated_metrics
from tasks.evaluation.scored import Scored, joined
from tasks.evaluation.slices import slice_rows
from tasks.evaluation.unseen import Unseen, unseen_rows
from tasks.registry.gates import Evidence, Parent
from tasks.registry.promotion import Contest
from tasks.registry.versions import PARENT, PARITY, Version, downloaded, list_versions
from tasks.scoring import latency
from tasks.scoring.execution import Execution, ProviderError, execution_of, not_here
from tasks.scoring.predictor import Predictor


@dataclass(frozen=True)
class Case:
    """A contest with its evidence and the rules it is judged by, the challenger's own."""

    contest: Contest
    evidence: Evidence
    model_file: ModelFile
    contract: Contract
    """The challenger's."""
    rows: Unseen
    """Those that are judged, with the challenger's predictions."""


def gather(contest: Contest, home: Path) -> Case:
    """The evidence for a contest, each version run with the settings that are kept on it, as it is scored and served.

    Raises InputError when an artefact's hash is not the registered one, or a version's provider is not on this machine.
    """
    challenger = _load(contest.challenger)
    champion = _load(contest.champion) if contest.champion else None
    predictor, model_file = challenger.predictor, challenger.model_file
    folder = snapshot_folder(home, model_file.name)
    snapshot = _snapshot_of(challenger, folder)
    unseen, obstacle = _unseen(snapshot, challenger, champion, folder)
    rival = _Rival(champion, predictor.contract, obstacle)
    origin = _Rival(_origin_of(contest.challenger), predictor.contract, None, "parent")

    def score(rows: pa.Table) -> Scored:
        rival.score(rows)
        origin.score(rows)
        return score_rows(predictor, rows)

    rows = unseen_rows(snapshot, unseen, score, predictor.contract)
    group = model_file.split.group
    evidence = Evidence(
        challenger=rows.scored,
        champion=rival.scored,
        slices=_slices(model_file, rows.table, predictor.contract.sensitive),
        measured=_budgets(model_file, predictor, rows) | _under_shifts(model_file, predictor, rows),
        behaviour=_behaviour(model_file, predictor, rows),
        parity=_parity(contest.challenger),
        parent=_parent(contest.challenger, origin, model_file.hardware),
        obstacle=rival.obstacle,
        groups=group_codes(rows.table.column(stored_split_name(group))) if group else None,
    )
    return Case(contest, evidence, model_file, predictor.contract, rows)


@dataclass(frozen=True)
class _Side:
    """One of the two that are compared."""

    predictor: Predictor
    model_file: ModelFile

    @property
    def split(self) -> SplitSpec:
        return self.predictor.contract.split


def _snapshot_of(side: _Side, folder: Path) -> Snapshot:
    return open_snapshot(folder / f"{side.predictor.contract.snapshot}.json")


def _unseen(snapshot: Snapshot, challenger: _Side, champion: _Side | None, folder: Path) -> tuple[Mask, str | None]:
    """Rows of the challenger's snapshot that no side learnt from; or none, and why that can't be told."""
    earlier = champion.split if champion else None
    deciding = {SOURCE, *required_columns(challenger.split), *(required_columns(earlier) if earlier else ())}
    try:
        parts = [judged_rows(rows, challenger.split, earlier, snapshot.sources) for rows in snapshot.batches(deciding)]
        unseen = np.concatenate(parts)
        if champion and may_change_sides(champion.split, champion.model_file.split.key):
            then = _snapshot_of(champion, folder)
            unseen &= ~learnt_rows(snapshot, then, champion.split, champion.model_file.split.key)
    except InputError as error:
        return np.zeros(snapshot.rows, dtype=bool), f"it can't be told which rows the champion learnt from: {error}"
    return unseen, None


def _load(version: Version, execution: Execution | None = None) -> _Side:
    """With the settings that are kept on the version, if none are given."""
    run = execution or execution_of(version)
    try:
        with downloaded(version) as files:
            return _Side(Predictor.load(files, version.sha256, execution=run), read_model_settings(files))
    except ProviderError as error:
        raise not_here(version.model, version.number, error) from None


class _Rival:
    """The champion or parent, which scores the pieces that the challenger scores, or why it can't."""

    def __init__(
        self, champion: _Side | None, judged_by: Contract, obstacle: str | None, role: str = "champion"
    ) -> None:
        self._role = role
        self.obstacle = obstacle
        self._champion, self._judged_by = champion, judged_by
        self._parts: list[Scored] = []

    @property
    def scored(self) -> Scored | None:
        return None if self._champion is None or self.obstacle else joined(self._parts)

    def score(self, rows: pa.Table) -> None:
        if self._champion is None or self.obstacle:
            return
        absent = [c.name for c in self._champion.predictor.contract.columns if c.name not in rows.column_names]
        if absent:
            what = f"the data no longer has the {self._role}'s column {absent[0]!r}"
            self.obstacle = f"{what}; map it again, or train under another name"
            return
        try:
            self._parts.append(score_rows(self._champion.predictor, rows, self._judged_by))
        except InputError as error:
            self.obstacle = f"the {self._role} can't be scored on these rows: {error}"


def _slices(
    model_file: ModelFile, rows: pa.Table, sensitive: frozenset[str]
) -> Mapping[str, Mapping[str, NDArray[np.bool_]]]:
    gated = {column for gate in model_file.gates.values() for column in gate.slices}
    return {
        name: slice_rows(rows, stored, sensitive=name in sensitive)
        for stored, name in slice_columns(model_file).items()
        if name in gated and stored in rows.column_names
    }


def _budgets(model_file: ModelFile, predictor: Predictor, rows: Unseen) -> dict[str, float]:
    measured = {SIZE: predictor.size_mb}
    if len(rows) and LATENCY in model_file.gates:
        few = np.arange(min(len(rows), latency.MOST_ROWS, rows.affordable(latency.MOST_BYTES)))
        measured[LATENCY] = latency.latency_p99_ms(predictor, rows.take(few))
    return measured


def _under_shifts(model_file: ModelFile, predictor: Predictor, rows: Unseen) -> dict[str, float]:
    contract, seed = predictor.contract, model_file.training.seed
    return gated_metrics(contract, lambda table: score_rows(predictor, table), rows, model_file.gates, seed)


def _behaviour(model_file: ModelFile, predictor: Predictor, rows: Unseen) -> list[Behaved]:
    return try_behaviour(
        predictor.contract, lambda table: score_rows(predictor, table), rows,
        model_file.behaviour, model_file.split.key, model_file.training.seed,
    )  # fmt: skip


def _parity(version: Version) -> float | None:
    recorded = version.tags.get(PARITY)
    return float(recorded) if recorded else None


def _origin_of(version: Version) -> _Side | None:
    """What the version is another form of; None where it is none, or that is gone.

    That is its parent; or, where its own settings compute otherwise, the version itself; each as it was exported.
    """
    number = version.tags.get(PARENT)
    if number is None:
        return _load(version, Execution()) if execution_of(version).computes_otherwise else None
    found = next((each for each in list_versions(version.model) if each.number == number), None)
    return _load(found, Execution()) if found else None


def _parent(version: Version, origin: _Rival, limits: Hardware) -> Parent | None:
    number, scored = version.tags.get(PARENT), origin.scored
    if number is None and scored is None:
        return None
    return Parent(number, scored, limits.max_accuracy_loss, origin.obstacle)
