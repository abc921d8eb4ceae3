"""The evaluation of a training job, and what it leaves in the job's folder: report, figures and numbers."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.columns import ColumnSettings
from models.columns.kind import Mask
from models.contract import GRAPH_FILE, SplitSpec, read_contract
from models.errors import OutsideError
from models.modelfile import SIZE
from models.sections import SPLITS
from tasks.data.layout import slice_columns, stored_split_name
from tasks.data.rows import assign_rows, masked_batches
from tasks.data.snapshot import Ingested, Snapshot, open_snapshot
from tasks.data.splits import TEST, TRAIN, VALIDATION, Assignment
from tasks.evaluation.baselines import rows_affordable, sample_rows
from tasks.evaluation.behaviour import try_behaviour
from tasks.evaluation.evaluate import Evaluation, evaluate
from tasks.evaluation.groups import group_codes
from tasks.evaluation.of_graph import score_rows
from tasks.evaluation.plots import figures
from tasks.evaluation.plots.style import to_png
from tasks.evaluation.report import GateFacts, ReportFacts, TrainingFacts, render_report
from tasks.evaluation.robustness import gated_metrics
from tasks.evaluation.scored import Indices, Scored
from tasks.evaluation.unseen import Unseen, summarised, unseen_rows
from tasks.export.exported import Packaged
from tasks.registry.gates import Check, judge_floors
from tasks.scoring.predictor import Predictor
from tasks.training.fitted import Fitted
from tasks.training.job import Job, git_commit

OUTCOMES = {"yes": True, "no": False, "undecided": None}


def judge_graph(
    job: Job, data: Ingested, split: SplitSpec, fitted: Fitted | None, exported: Packaged
) -> dict[str, float]:
    """The packaged graph's metrics on the test rows. The others are read for the baselines alone.

    `fitted` is None where the graph was trained elsewhere.
    """
    snapshot = open_snapshot(job.snapshot)
    assigned = assign_rows(snapshot, split)
    seed = job.model_file.training.seed
    learnt = learnt_from(assigned)
    sampled = sample_rows(learnt, seed, rows_affordable(job.model_file.columns), _classes(snapshot))
    predictor = Predictor.load(exported.folder, exported.sha256)

    def predict(table: pa.Table) -> Scored:
        return score_rows(predictor, table)

    test = unseen_rows(snapshot, assigned == TEST, predict, predictor.contract)
    settings, group = job.model_file.evaluation, job.model_file.split.group
    evaluation = evaluate(
        predictor.contract,
        predict,
        _learnt_rows(snapshot, sampled, job.model_file.columns),
        test,
        slices=[stored for stored, name in slice_columns(job.model_file).items() if name in settings.slices],
        group=stored_split_name(group) if group else None,
        train_rows=int(learnt.sum()),
        resamples=settings.resamples,
        seed=seed,
    )
    counts: dict[str, int] = {name: int((assigned == index).sum()) for index, name in enumerate(SPLITS)}
    floors = _floors(evaluation, predictor, test, job)
    _leave(evaluation, job, _facts(job, data, fitted, counts, floors, predictor.size_mb))
    return evaluation.metrics


def learnt_from(assigned: Assignment) -> Mask:
    """The rows [N] that the network learns, stops and is calibrated by; baselines have all of them too."""
    return np.asarray((assigned == TRAIN) | (assigned == VALIDATION))


def _classes(snapshot: Snapshot) -> Indices | None:
    """A number [N] for the class of each row."""
    target = snapshot.manifest.target
    return None if snapshot.task == "regression" else group_codes(snapshot.table([target]).column(target))


def _learnt_rows(snapshot: Snapshot, mask: Mask, columns: Mapping[str, ColumnSettings]) -> pa.Table:
    pieces = [summarised(piece, columns) for piece in masked_batches(snapshot, mask)]
    return pa.concat_tables(pieces).unify_dictionaries()


def _floors(evaluation: Evaluation, predictor: Predictor, test: Unseen, job: Job) -> list[Check]:
    """The limits of the model file's gates, on the size and under shifts too, and its behaviour tests."""
    model_file, contract = job.model_file, predictor.contract
    gates, seed = model_file.gates, model_file.training.seed

    def predict(table: pa.Table) -> Scored:
        return score_rows(predictor, table)

    shifted = gated_metrics(contract, predict, test, gates, seed)
    behaved = try_behaviour(contract, predict, test, model_file.behaviour, model_file.split.key, seed)
    return judge_floors(evaluation.scored, gates, {SIZE: predictor.size_mb, **shifted}, behaved)


def _facts(
    job: Job, data: Ingested, fitted: Fitted | None, counts: dict[str, int], floors: Sequence[Check], size_mb: float
) -> ReportFacts:
    made_by = {
        "git commit": git_commit(),
        "MLflow run": job.interrupted_run(),
        GRAPH_FILE: f"{size_mb:.3g} MB",
        **job.made_of,
    }
    return ReportFacts(
        rows=counts,
        sources=[source.uri for source in job.model_file.sources],
        rejects=data.reasons,
        training=_training(fitted) if fitted else None,
        cost=job.model_file.target.cost,
        gates=[GateFacts(check.gate, OUTCOMES[check.outcome], check.text) for check in floors],
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        versions={name: value for name, value in made_by.items() if value},
    )


def _training(fitted: Fitted) -> TrainingFacts:
    return TrainingFacts(
        epochs=len(fitted.train_loss),
        best_epoch=fitted.best_epoch,
        seconds=fitted.seconds,
        parameters=fitted.parameters,
        train_loss=fitted.train_loss,
        validation_loss=fitted.validation_loss,
    )


def _leave(evaluation: Evaluation, job: Job, facts: ReportFacts) -> None:
    contract = read_contract(job.package)
    training = facts.training or TrainingFacts(0, 0, 0.0, 0)
    drawn = figures(evaluation, training.train_loss, training.validation_loss, training.best_epoch)
    try:
        plots = job.results / "plots"
        plots.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            to_png(figure, plots / f"{name}.png")
        _write(job.results / "report.html", render_report(contract, evaluation, drawn, facts))
        _write(job.results / "evaluation.json", json.dumps(evaluation.record(), indent=1))
    except OSError as error:
        raise OutsideError(f"{job.results}: the report can't be written ({error.strerror})") from None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
