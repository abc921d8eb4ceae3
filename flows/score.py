"""From rows to predictions, each row accounted for."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows.artifacts import show_scores
from flows.environment import state_folder
from flows.promote import promote_if_free
from flows.results import Scored
from tasks.registry.runs import finishing
from tasks.registry.steps import resolve_version, waiting_challenger
from tasks.scoring.steps import open_scoring_run, record_scores, score_inputs


@flow(name="score", flow_run_name="score with {model}", timeout_seconds=24 * 3600)
def score(
    model: str,
    input: Sequence[str],  # noqa: A002 - the name is a parameter of the deployment's form
    output: Path,
    keep: Sequence[str] | None = None,
    overwrite: bool = False,
    promote: bool = False,
    why: bool = False,
) -> Scored:
    """Scores files into files with one version, resolved once.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, or a models:/ URI.
        input: Files, folders or globs: CSV, TSV, JSON lines, Parquet, Feather.
        output: A file (.parquet, .csv, .jsonl), or a folder for predictions.parquet and rejects.parquet.
        keep: Input columns to write beside the predictions; all but sensitive ones if not given.
        overwrite: Replace an output that exists.
        promote: Judge a waiting challenger first, and score with it if it wins.
        why: Add a column that names the words and columns which mattered most to each row's decision; slow.
    """
    waiting = waiting_challenger(model) if promote else None
    if waiting:
        promote_if_free(waiting)
    version = resolve_version(model)
    run_id = open_scoring_run(version, input, state_folder())
    with finishing(run_id):
        scores = score_inputs(version, input, output, run_id, keep, overwrite, why)
        record_scores(run_id, scores)
    show_scores(version, scores)
    return Scored(
        version.model, version.number, run_id, scores.rows, scores.scored, scores.rejected,
        scores.reasons, scores.labels, scores.predictions, scores.rejects,
    )  # fmt: skip
