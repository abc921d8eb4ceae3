"""From rows to predictions, each row accounted for."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from prefect import flow
from pydantic import BeforeValidator

from flows.artifacts import show_scores
from flows.crashes import at_work, running, sweep_crashed
from flows.environment import state_folder
from flows.promote import promote_if_free
from flows.results import Scored, scored
from tasks.actions.steps import act, outboxes_of, sweep
from tasks.registry.runs import finishing
from tasks.registry.steps import waiting_challenger
from tasks.registry.versions import Version
from tasks.scoring import outputs
from tasks.scoring.inputs import Sources
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import Scores
from tasks.scoring.steps import (
    crew_of,
    look_at_inputs,
    open_scoring_run,
    record_scores,
    require_tokens_of,
    resolve_pinned,
    resolve_second,
    scoring_by,
)
from tasks.training.engine import LOCAL, Engine, EngineName, choose_engine

if TYPE_CHECKING:
    from flows.results import Monitored
    from tasks.monitoring.steps import Expected

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
    since: str | None = None,
    until: str | None = None,
    time: str | None = None,
    partition: Sequence[str] = (),
    new_since: str | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    batch_rows: int | None = None,
    threads: int | None = None,
    monitor: bool = False,
) -> Scored:
    """Scores files and tables with one version, resolved once; a killed run goes on when it is started again.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, or a models:/ URI.
        input: Files, folders, globs; tables: postgresql://host/db#schema.table or sqlite:////path/file.db#table. Leave
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
        since: Only rows of this date or time, or later, such as 2026-11-24 or 2026-11-24T06:00:00+01:00.
        until: Only rows that are earlier.
        time: The column that since and until look at; the model's own time if not given.
        partition: Only files in folders of these Hive partitions, such as year=2024.
        new_since: An earlier output; files that it has scored, and that have not changed, are left out.
        engine: `local` scores in this process, `ray` on workers that Ray starts. A run goes on with either.
        address: With ray: a cluster that runs already, as HOST:PORT; without, one is started on this machine.
        batch_rows: Rows that a thread scores at once; by a short measurement if not given.
        threads: Threads that score; if not given, one for each core, and one on each worker of Ray.
        monitor: Compare the rows with those that the version was trained on, as a window of its monitoring.
    """
    chosen = choose_engine(engine, 1, address)
    options = Options(
        max_rejects=max_rejects,
        shard_rows=shard_rows,
        why=why,
        also=also,
        since=since,
        until=until,
        time=time,
        partitions=tuple(partition),
        new_since=new_since,
        query=query,
        key=key,
        version_column=version_column,
        batch_rows=batch_rows,
        threads=threads,
        monitor=monitor or None,
    )
    if promote:
        promote_waiting(model)
    return score_request(input, Request.of(model, input, options, keep), wanted_output(output), overwrite, chosen)


def promote_waiting(model: str) -> None:
    """Judges the challenger first, if there is one."""
    waiting = waiting_challenger(model)
    if waiting:
        promote_if_free(waiting)


def score_request(
    inputs: Sequence[str], request: Request, wanted: outputs.Output, overwrite: bool, engine: Engine = LOCAL
) -> Scored:
    """The steps of a run, or of what is missing of one; `inputs` may hold credentials, the request does not."""
    home = state_folder()
    sweep_crashed(home)
    with at_work(home):
        return _score_request(inputs, request, wanted, overwrite, engine, home)


def _score_request(
    inputs: Sequence[str], request: Request, wanted: outputs.Output, overwrite: bool, engine: Engine, home: Path
) -> Scored:
    sources = look_at_inputs(inputs, request, wanted)
    with claimed(wanted, overwrite) as sink:
        left = what_is_left(sink, request, sources, overwrite, partial(outboxes_of, home=home))
        version, second = resolve_pinned(request.asked, left), resolve_second(request.options.also, left)
        require_tokens_of(version)
        expected = expected_of_watched(version, request)
        with crew_of(engine) as crew:
            run_id = open_scoring_run(version, second, left, request.inputs, home)
            with running(run_id, home), finishing(run_id):
                scores = scoring_by(crew)(sink, version, second, sources, request, run_id, home, crew, expected)
                delivered = act(scores.run_id, home) if scores.acts else []
                record_scores(run_id, scores, delivered)
        # Within the claim: a run that was killed meanwhile is monitored when its command is given again.
        window = monitor_watched(version, expected, scores, request, sources)
    # Only now: as long as the output is claimed, the same command goes on from what the outboxes hold.
    sweep(scores.run_id, home, delivered)
    show_scores(version, second, scores, delivered)
    return scored(version, second, scores, delivered, window)


def expected_of_watched(version: Version, request: Request) -> "Expected | None":
    """What rows of the version should look like, where they are to be monitored."""
    if not request.options.monitor:
        return None
    # Late, as in `monitor_watched`: most runs are not monitored, and loading takes a while.
    from tasks.monitoring.steps import expected_of

    return expected_of(version)


def monitor_watched(
    version: Version, expected: "Expected | None", scores: Scores, request: Request, sources: Sources
) -> "Monitored | None":
    """What has drifted, where rows were counted."""
    if expected is None or not scores.looked_at:
        return None
    from flows.monitor import monitor_scores

    # The inputs may have changed since their rows were scored.
    return monitor_scores(version, expected, scores, request, replace(sources, fingerprints=scores.sources))
