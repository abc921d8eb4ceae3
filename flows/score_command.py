"""The command `perennial score`: scores, verifies an output, or sends dead letters again."""

import typer

from flows.environment import prepare
from flows.loading import watched
from flows.monitor_command import drift_lines
from flows.options import AsJson
from flows.paths import absolute, require_files
from flows.ready import prefect_ready
from flows.results import Scored
from flows.score_options import (
    Address,
    Also,
    BatchRows,
    EngineOption,
    Input,
    Keep,
    Key,
    MaxRejects,
    Monitor,
    Name,
    NewSince,
    Output,
    Overwrite,
    Partition,
    Promote,
    Query,
    Redeliver,
    ShardRows,
    Since,
    Threads,
    Time,
    Until,
    Verify,
    VersionColumn,
    Why,
)
from flows.screen import show
from models.errors import InputError, OutsideError, RefusedError
from tasks.training.engine import choose_engine

EXAMPLE = """Example: perennial score churn --input new.csv --output scored

A run that was killed goes on when its command is given again. perennial score --verify scored"""


def score(
    name: Name = None,
    input: Input = None,  # noqa: A002 - the name of the option
    output: Output = None,
    keep: Keep = None,
    overwrite: Overwrite = False,
    promote: Promote = False,
    why: Why = False,
    also: Also = None,
    max_rejects: MaxRejects = 1.0,
    shard_rows: ShardRows = None,
    batch_rows: BatchRows = None,
    threads: Threads = None,
    since: Since = None,
    until: Until = None,
    time: Time = None,
    partition: Partition = None,
    new_since: NewSince = None,
    query: Query = None,
    key: Key = None,
    version_column: VersionColumn = None,
    verify: Verify = None,
    redeliver: Redeliver = None,
    engine: EngineOption = "local",
    address: Address = None,
    monitor: Monitor = False,
    as_json: AsJson = False,
) -> None:
    """Score files and tables into files or tables, such as postgresql://host/db#table or sqlite:///file.db#table.

    Every row ends once, in the predictions or with a reason in the rejects.
    """
    if verify or redeliver:
        _look_back(verify, redeliver, as_json)
        return
    if not (name and input and output):
        raise InputError("score: give a model, --input and --output; see perennial score --help")
    with prefect_ready():
        choose_engine(engine, 1, address)
        require_files(input, output, overwrite, query, key, version_column)
        from flows.score import score as flow

    earlier = absolute(new_since) if new_since else None
    done = watched(flow)(
        name, [absolute(uri) for uri in input], absolute(output), keep=keep, overwrite=overwrite, promote=promote,
        why=why, also=also, max_rejects=max_rejects, shard_rows=shard_rows, since=since, until=until, time=time,
        partition=partition or [], new_since=earlier, query=query, key=key, version_column=version_column,
        engine=engine, address=address, batch_rows=batch_rows, threads=threads, monitor=monitor,
    )  # fmt: skip
    show(done, as_json, _lines(done))
    _require_delivered(done)


def _look_back(verified: str | None, redelivered: str | None, as_json: bool) -> None:
    if verified:
        _verify(absolute(verified), as_json)
    if redelivered:
        _redeliver(absolute(redelivered), as_json)


def _lines(done: Scored) -> list[str]:
    used = f"{done.model} version {done.version}"
    counts = f"{done.rows:,} rows: {done.scored:,} scored with {used}, {done.rejected:,} rejected"
    reasons = [f"  {count:,} {reason}" for reason, count in done.reasons.items()]
    reasons += [f"  {done.passed:,} passed over, outside of the period"] if done.passed else []
    shadow = [f"  {what}: {value:.4g}" for what, value in done.shadow.items()]
    beside = [f"beside it {done.also}:", *shadow] if done.also else []
    acts = [
        f"action {act.action}: {act.selected:,} rows, {act.delivered:,} delivered, {act.dead:,} dead letters"
        for act in done.actions
    ]
    drift = drift_lines(done.window) if done.window else []
    return [counts, *reasons, *beside, *acts, *drift, f"predictions: {done.predictions}", f"rejects: {done.rejects}"]


def _require_delivered(done: Scored) -> None:
    """Raises OutsideError when letters are dead."""
    dead = sum(act.dead for act in done.actions)
    if dead:
        raise OutsideError(
            f"{dead:,} rows could not be delivered; the reasons are in {prepare() / 'actions' / done.run_id}; "
            "perennial score --redeliver OUTPUT sends them again"
        )


def _verify(output: str, as_json: bool) -> None:
    from tasks.scoring.outputs import manifest_of, problems_of

    manifest, problems = manifest_of(output), problems_of(output)
    told = {name: manifest[name] for name in ("model", "version", "run_id", "rows", "scored", "rejected")}
    head = f"{told['rows']:,} rows: {told['scored']:,} scored with {told['model']} version {told['version']}, "
    state = "not whole" if problems else "whole"
    show(
        {**told, "whole": not problems, "problems": problems},
        as_json,
        [f"{head}{told['rejected']:,} rejected; {state}", *problems],
    )
    if problems:
        raise typer.Exit(RefusedError.exit_code)


def _redeliver(output: str, as_json: bool) -> None:
    with prefect_ready():
        from flows.redeliver import redeliver as flow

    found = watched(flow)(output)
    lines = [
        f"action {act.action}: {act.delivered:,} of {act.selected:,} delivered, {act.dead:,} dead" for act in found
    ]
    show({"actions": [vars(act) for act in found]}, as_json, lines)
    if any(act.dead for act in found):
        raise typer.Exit(OutsideError.exit_code)
