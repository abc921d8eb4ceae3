"""`perennial promote`."""

from typing import Annotated

import typer

from flows.loading import watched
from flows.options import ApproveOption, AsJson, NameArgument, RejectOption, WhyOption
from flows.ready import prefect_ready
from flows.screen import show, verdict_lines
from models.errors import InputError, RefusedError

EXAMPLE = "Example: perennial promote churn --why 'monthly review'"


def promote(
    name: NameArgument,
    version: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="The version to judge; the challenger if not given.")
    ] = None,
    why: WhyOption = "by hand",
    approve: ApproveOption = None,
    reject: RejectOption = None,
    as_json: AsJson = False,
) -> None:
    """Judge the challenger against the champion.

    The exit code is 1 when the answer is no, with the reasons, or when a person has to approve first.
    """
    if approve is not None and reject is not None:
        raise InputError("--approve and --reject: give one of the two")
    with prefect_ready():
        from flows.promote import promote as flow
        from tasks.registry.versions import require_model

        require_model(name)

    verdict = watched(flow)(name, version, why, approve, reject)
    show(verdict, as_json, verdict_lines(verdict))
    if not verdict.promoted:
        raise typer.Exit(RefusedError.exit_code)
