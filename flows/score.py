"""From rows to predictions, each row accounted for."""

from collections.abc import Sequence
from typing import Annotated

from prefect import flow
from pydantic import BeforeValidator

from flows.artifacts import show_scores
from flows.environment import state_folder
from flows.promote import promote_if_free
from flows.results import Scored
from tasks.registry.runs import finishing
from tasks.registry.steps import waiting_challenger
from tasks.registry.versions import Version
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import Scores
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
    query: str | None = None,
    key: str | None = None,
    version_column: str | None = None,
    also: str | None = None,
    max_rejects: float = 1.0,
    shard_rows: int | None = None,
) -> Scored:
    """Scores files and tables with one version, resolved once; a killed run goes on when it is started again.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, or a models:/ URI.
        input: Files, folders, globs; tables as postgresql://host/db#schema.table or sqlite:///path/file.db#table. Leave
            users and passwords to PGUSER, PGPASSWORD, PGPASSFILE or PGSERVICE: what is typed here is stored.
        output: A .parquet, .feather, .csv(.gz) or .jsonl(.gz) file, a folder of Parquet files, or a table.
        keep: Input columns to write beside the predictions; all but sensitive ones if not given.
        overwrite: Replace an output that exists.
        promote: Judge a waiting challenger first, and score with it if it wins.
        why: Add a column that names the words and columns which mattered most to each row's decision; slow.
        query: A SELECT statement to score the rows of, for a database that is given without #table.
        key: Column of a table or query that orders its rows and holds another value in each.
        version_column: Column of a table or query that grows with each change, such as a time: changes are noticed.
        also: A second version, such as NAME@challenger, that scores the same rows; its columns begin with also_.
        max_rejects: Share of rows, from 0 to 1; the run stops when more of them are rejected.
        shard_rows: Rows that are done, or lost by a kill, at a time; about a million if not given.
    """
    wanted = wanted_output(output)
    options = Options(None, max_rejects, shard_rows, why, also, query, key, version_column)
    request = Request.of(model, input, options, keep)
    with claimed(wanted, overwrite) as sink:
        waiting = waiting_challenger(model) if promote else None
        if waiting:
            promote_if_free(waiting)
        sources = look_at_inputs(input, wanted, options.asked)
        left = what_is_left(sink, request, sources, overwrite)
        version = resolve_pinned(model, left)
        second = resolve_second(also, left)
        run_id = open_scoring_run(version, left, request.inputs, state_folder())
        with finishing(run_id):
            scores = score_inputs(sink, version, second, sources, request, run_id)
            record_scores(run_id, scores)
    show_scores(version, scores)
    return _result(version, scores)


def _result(version: Version, scores: Scores) -> Scored:
    return Scored(
        version.model, version.number, scores.run_id, scores.rows, scores.scored, scores.rejected,
        scores.reasons, scores.labels, scores.predictions, scores.rejects,
    )  # fmt: skip
