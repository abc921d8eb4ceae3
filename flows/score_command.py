"""The command `perennial score`: scores, verifies an output, or sends dead letters again."""

from pathlib import Path
from typing import Annotated

import typer

from flows.environment import prepare
from flows.loading import watched
from flows.paths import absolute, require_files
from flows.ready import prefect_ready
from flows.results import Scored
from flows.screen import show
from models.errors import InputError, OutsideError, RefusedError

EXAMPLE = """Example: perennial score churn --input new.csv --output scored

A run that was killed goes on when its command is given again. perennial score --verify scored"""


def score(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME_OR_URI", help="NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI.")
    ] = None,
    input: Annotated[  # noqa: A002
        list[str] | None,
        typer.Option(metavar="DATA", help="A file, folder or glob. May be given several times."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A .parquet, .feather, .csv or .jsonl file, or a folder for Parquet files."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Input columns to write along; all but sensitive ones if not given."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Judge a waiting challenger first.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Name the words and columns that mattered most; slow.")] = False,
    also: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A second version to score the same rows with, such as churn@challenger."),
    ] = None,
    max_rejects: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Stop when a larger share of rows is rejected.")
    ] = 1.0,
    shard_rows: Annotated[
        int | None,
        typer.Option(metavar="ROWS", min=1, help="Rows that a kill can lose; about a million if not given."),
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(metavar="OUTPUT", help="Check that an output is whole and unchanged; score nothing.")
    ] = None,
    redeliver: Annotated[
        Path | None, typer.Option(metavar="OUTPUT", help="Send an output's dead letters again; score nothing.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line, for machines.")
    ] = False,
) -> None:
    """Score files into files.

    Every row ends once, in the predictions or with a reason in the rejects.
    """
    if verify:
        _verify(verify, as_json)
        return
    if redeliver:
        _redeliver(redeliver, as_json)
        return
    if not (name and input and output):
        raise InputError("score: give a model, --input and --output; see perennial score --help")
    with prefect_ready():
        require_files(input, output, overwrite)
        from flows.score import score as flow

    done = watched(flow)(
        name, [absolute(uri) for uri in input], output.absolute(), keep, overwrite, promote, why, also, max_rejects,
        shard_rows,
    )  # fmt: skip
    show(done, as_json, _lines(done))
    _require_delivered(done)


def _lines(done: Scored) -> list[str]:
    used = f"{done.model} version {done.version}"
    counts = f"{done.rows:,} rows: {done.scored:,} scored with {used}, {done.rejected:,} rejected"
    reasons = [f"  {count:,} {reason}" for reason, count in done.reasons.items()]
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
