"""Gathering what a judgement rests on: both versions on the rows that neither has seen."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import InputError
from models.modelfile import BUDGETS, ModelFile
from tasks.data.layout import SOURCE
from tasks.data.rows import masked_rows
from tasks.data.snapshot import open_snapshot, snapshot_folder
from tasks.data.splits import judged_rows, required_columns, why_not_comparable
from tasks.evaluation.of_graph import score_rows
from tasks.evaluation.scored import Scored
from tasks.evaluation.slices import slice_rows
from tasks.registry.gates import Evidence
from tasks.registry.package import read_model_settings
from tasks.registry.promotion import Contest
from tasks.registry.versions import PARITY, Version, download
from tasks.scoring.latency import latency_p99_ms
from tasks.scoring.predictor import Predictor


@dataclass(frozen=True)
class Case:
    """A contest with its evidence and the rules it is judged by, the challenger's own."""

    contest: Contest
    evidence: Evidence
    model_file: ModelFile


def gather(contest: Contest, home: Path) -> Case:
    """The evidence for a contest. Raises InputError when an artefact's hash is not the registered one."""
    with tempfile.TemporaryDirectory() as scratch:
        challenger, model_file = _load(contest.challenger, Path(scratch) / "challenger")
        champion = _load(contest.champion, Path(scratch) / "champion")[0] if contest.champion else None
    snapshot = open_snapshot(snapshot_folder(home, model_file.name) / f"{challenger.contract.snapshot}.json")
    specs = [predictor.contract.split for predictor in (challenger, champion) if predictor]
    deciding = {SOURCE, *(name for spec in specs for name in required_columns(spec))}
    table = snapshot.table(deciding)
    split, earlier = challenger.contract.split, champion.contract.split if champion else None
    obstacle = why_not_comparable(table.column_names, split, earlier)
    unseen = judged_rows(table, split, earlier)
    rows = masked_rows(snapshot, np.zeros(len(table), dtype=bool) if unseen is None else unseen)
    first = score_rows(challenger, rows)
    second, obstacle = _champion(champion, challenger, rows, obstacle)
    evidence = Evidence(
        challenger=first,
        champion=second,
        slices=_slices(model_file, rows, challenger.contract.sensitive),
        measured=_budgets(model_file, challenger, rows),
        parity=_parity(contest.challenger),
        obstacle=obstacle,
    )
    return Case(contest, evidence, model_file)


def _load(version: Version, folder: Path) -> tuple[Predictor, ModelFile]:
    folder.mkdir()
    files = download(version, folder)
    return Predictor.load(files, version.sha256), read_model_settings(files)


def _champion(
    champion: Predictor | None, challenger: Predictor, rows: pa.Table, obstacle: str | None
) -> tuple[Scored | None, str | None]:
    """The champion on the same rows, or why it can't be scored on them."""
    if champion is None or obstacle:
        return None, obstacle
    absent = [c.name for c in champion.contract.columns if c.name not in rows.column_names]
    if absent:
        return None, f"the data no longer has the champion's column {absent[0]!r}"
    try:
        return score_rows(champion, rows, challenger.contract), None
    except InputError as error:
        return None, f"the champion can't be scored on these rows: {error}"


def _slices(
    model_file: ModelFile, rows: pa.Table, sensitive: frozenset[str]
) -> Mapping[str, Mapping[str, NDArray[np.bool_]]]:
    columns = dict.fromkeys(column for gate in model_file.gates.values() for column in gate.slices)
    return {
        column: slice_rows(rows, column, sensitive=column in sensitive)
        for column in columns
        if column in rows.column_names
    }


def _budgets(model_file: ModelFile, predictor: Predictor, rows: pa.Table) -> dict[str, float]:
    asked = any(name in BUDGETS for name in model_file.gates)
    return {"latency_p99_ms": latency_p99_ms(predictor, rows)} if asked and len(rows) else {}


def _parity(version: Version) -> float | None:
    recorded = version.tags.get(PARITY)
    return float(recorded) if recorded else None
