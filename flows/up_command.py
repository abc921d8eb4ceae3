"""The command `perennial up`: servers and a worker on this machine, followed until Ctrl-C."""

import sys
from typing import Annotated

import typer

from flows.environment import prepare
from flows.options import AsJson
from flows.screen import show

EXAMPLE = """Example: perennial up   then, in another terminal: perennial deploy churn.toml

Ctrl-C ends all. With --json the addresses are the only line of standard output; logs go to standard error."""

PrefectPort = Annotated[
    int | None,
    typer.Option(metavar="PORT", min=1, max=65535, help="Of Prefect; 4200 if not given, or the next that is free."),
]
MlflowPort = Annotated[
    int | None,
    typer.Option(metavar="PORT", min=1, max=65535, help="Of MLflow; 5000 if not given, or the next that is free."),
]


def up(prefect_port: PrefectPort = None, mlflow_port: MlflowPort = None, as_json: AsJson = False) -> None:
    """Run a Prefect server, an MLflow server and a worker.

    They keep their state in the state folder, where commands keep it without servers, and commands use them meanwhile.
    """
    home = prepare()
    from flows.up import Ports, Up, run_up

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    def tell(now: Up) -> None:
        show(now, as_json, now.lines())
        sys.stdout.flush()

    run_up(home, Ports(prefect_port, mlflow_port), say, tell)
