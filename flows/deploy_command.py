"""The command `perennial deploy`: model files as deployments and automations of a Prefect server."""

from typing import Annotated

import typer

from flows.environment import prepare
from flows.options import AsJson, ModelFilesArgument
from flows.screen import show

EXAMPLE = "Example: perennial deploy models/*.toml   then: perennial up"


def deploy(
    files: ModelFilesArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Register Prefect deployments of model files, and bring those that are there up to date.

    Retraining and monitoring on the file's schedule; training, promotion and scoring on demand. Automations start a
    retraining after drift, and tell those whom the file names. What belongs to a model file that is gone is removed.
    """
    # Not through `prefect_ready`: what comes next depends on whether the user has named a server.
    prepare()
    from flows.deploy import deploy as register
    from flows.deploy import next_steps

    changes = register(files, dry_run)
    lines = [*changes.lines(), *([] if dry_run else next_steps())]
    show({**changes.as_json(), "dry_run": dry_run}, as_json, lines)
