"""The command `perennial score`: scores, verifies an output, or sends dead letters again."""

from pathlib import Path

import typer

from flows.environment import prepare
from flows.loading import watched
from flows.options import AsJson
from flows.paths import absolute, require_files
from flows.ready import prefect_ready
from flows.results import Scored
from flows.score_options import (
    Also,
    Input,
    Keep,
    MaxRejects,
    Name,
    NewSince,
    Output,
    Overwrite,
    Partition,
    Promote,
    Redeliver,
    ShardRows,
    Since,
    Time,
    Until,
    Verify,
    Why,
)
from flows.screen import show
from models.errors import InputError, OutsideError, RefusedError

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
    since: Since = None,
    until: Until = None,
    time: Time = None,
    partition: Partition = None,
    new_since: NewSince = None,
    verify: Verify = None,
    redeliver: Redeliver = None,
    as_json: AsJson = False,
) -> None:
    """Score files into files.

    Every row ends once, in the predictions or with a reason in the rejects.
    """
    if verify or redeliver:
        _look_back(verify, redeliver, as_json)
        return
    if not (name and input and output):
        raise InputError("score: give a model, --input and --output; see perennial score --help")
    with prefect_ready():
        require_files(input, output, overwrite)
        from flows.score import score as flow

    earlier = str(new_since.absolute()) if new_since else None
    done = watched(flow)(
        name, [absolute(uri) for uri in input], absolute(output), keep, overwrite, promote, why, also, max_rejects,
        shard_rows, since, until, time, partition or [], earlier,
    )  # fmt: skip
    show(done, as_json, _lines(done))
    _require_delivered(done)


def _look_back(verified: Path | None, redelivered: Path | None, as_json: bool) -> None:
    if verified:
        _verify(verified, as_json)
    if redelivered:
        _redeliver(redelivered, as_json)


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
    return [counts, *reasons, *beside, *acts, f"predictions: {done.predictions}", f"rejects: {done.rejects}"]


def _require_delivered(done: Scored) -> None:
    """Raises OutsideError when letters are dead."""
    dead = sum(act.dead for act in done.actions)
    if dead:
        raise OutsideError(
            f"{dead:,} rows could not be delivered; the reasons are in {prepare() / 'actions' / done.run_id}; "
            "perennial score --redeliver OUTPUT sends them again"
        )


def _verify(output: Path, as_json: bool) -> None:
    from tasks.scoring.verify import verify

    found = verify(output)
    head = f"{found.rows:,} rows: {found.scored:,} scored with {found.model} version {found.version}, "
    state = "whole" if found.whole else "not whole"
    lines = [f"{head}{found.rejected:,} rejected; {found.files} files, {state}", *found.problems]
    show({**vars(found), "whole": found.whole}, as_json, lines)
    if not found.whole:
        raise typer.Exit(RefusedError.exit_code)


def _redeliver(output: Path, as_json: bool) -> None:
    with prefect_ready():
        from flows.redeliver import redeliver as flow

    found = watched(flow)(output.absolute())
    lines = [
        f"action {act.action}: {act.delivered:,} of {act.selected:,} delivered, {act.dead:,} dead" for act in found
    ]
    show({"actions": [vars(act) for act in found]}, as_json, lines)
    if any(act.dead for act in found):
        raise typer.Exit(OutsideError.exit_code)
