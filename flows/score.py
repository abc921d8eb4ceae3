"""From rows to predictions, each row accounted for."""

from collections.abc import Sequence
from typing import Annotated

from prefect import flow
from pydantic import BeforeValidator

from flows.artifacts import show_scores
from flows.crashes import running, sweep_crashed
from flows.environment import state_folder
from flows.promote import promote_if_free
from flows.results import Scored, scored
from tasks.actions.steps import act
from tasks.registry.runs import finishing
from tasks.registry.steps import waiting_challenger
from tasks.scoring.destination import AnyDestination
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.steps import (
    look_at_inputs,
    open_scoring_run,
    record_scores,
    resolve_pinned,
    resolve_second,
    score_inputs,
)

Output = Annotated[str, BeforeValidator(str)]
"""A name or a Path."""


@flow(name="score", flow_run_name="score with {model}", timeout_seconds=24 * 3600)
def score(
    model: str,
    input: Sequence[str],  # noqa: A002 - the name is a parameter of the deployment's form
    output: Output,
    keep: Sequence[str] | None = None,
    overwrite: bool = False,
    promote: bool = False,
    why: bool = False,
    also: str | None = None,
    max_rejects: float = 1.0,
    shard_rows: int | None = None,
    since: str | None = None,
    until: str | None = None,
    time: str | None = None,
    partition: Sequence[str] = (),
    new_since: str | None = None,
) -> Scored:
    """Scores files into files with one version, resolved once.

    A run that was killed goes on when it is started again: only what is missing is scored.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, or a models:/ URI.
        input: Files, folders or globs: CSV, TSV, JSON lines, Parquet, Feather.
        output: A file (.parquet, .feather, .csv, .jsonl, the last two also with .gz), or a folder of Parquet files,
            which may lie in an object store.
        keep: Input columns to write beside the predictions; all but sensitive ones if not given.
        overwrite: Replace an output that exists.
        promote: Judge a waiting challenger first, and score with it if it wins.
        why: Add a column that names the words and columns which mattered most to each row's decision; slow.
        also: A second version, such as NAME@challenger, that scores the same rows; its columns begin with also_.
        max_rejects: Share of rows, from 0 to 1; the run stops when more of them are rejected.
        shard_rows: Rows that are done, or lost by a kill, at a time; about a million if not given.
        since: Only rows of this date or time, or later, such as 2026-11-24 or 2026-11-24T06:00:00+01:00.
        until: Only rows that are earlier.
        time: The column that since and until look at; the model's own time if not given.
        partition: Only files in folders of these Hive partitions, such as year=2024.
        new_since: An earlier output; files that it has scored, and that have not changed, are left out.
    """
    options = Options(
        None if keep is None else tuple(keep), max_rejects, shard_rows, why, also, since, until, time, tuple(partition),
        new_since,
    )  # fmt: skip
    waiting = waiting_challenger(model) if promote else None
    if waiting:
        promote_if_free(waiting)
    return score_request(Request(model, tuple(input), options), wanted_output(output), overwrite)


def score_request(request: Request, wanted: AnyDestination, overwrite: bool) -> Scored:
    """The steps of a run, or of what is missing of one."""
    home = state_folder()
    sweep_crashed(home)
    sources = look_at_inputs(request, wanted)
    with claimed(wanted, overwrite) as sink:
        left = what_is_left(sink, request, sources, overwrite)
        version, second = resolve_pinned(request.asked, left), resolve_second(request.options.also, left)
        run_id = open_scoring_run(version, left, request.inputs, home)
        with running(run_id, home), finishing(run_id):
            scores = score_inputs(sink, version, second, sources, request, run_id, home)
            delivered = act(run_id, home) if scores.acts else []
            record_scores(run_id, scores, delivered)
    show_scores(version, second, scores, delivered)
    return scored(version, second, scores, delivered)
