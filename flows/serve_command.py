"""The command `perennial serve`: answers over REST until Ctrl-C."""

import logging
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from flows.environment import prepare
from flows.options import AsJson
from flows.screen import show

EXAMPLE = """Example: perennial serve churn

curl localhost:8080/models/churn/predict --json '{"rows": [{"age": 41, "plan": "basic"}]}'

A new champion is taken within seconds. With PERENNIAL_SERVE_TOKEN in the environment, requests have to bear it."""

Places = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help="NAME, NAME@ALIAS, NAME/VERSION, a models:/ URI, or a version's folder."),
]
Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
WorkersOption = Annotated[int, typer.Option(min=1, max=256, help="Processes that answer.")]
BatchRows = Annotated[int, typer.Option(min=1, help="Rows that are scored at once; 1 leaves requests by themselves.")]
BatchWait = Annotated[
    float,
    typer.Option(min=0, max=1000, help="Milliseconds that a request waits for others; 0: while the last batch runs."),
]
Poll = Annotated[float, typer.Option(min=0.1, help="Seconds between looks for a new champion.")]
MaxBody = Annotated[float, typer.Option(min=0.001, help="Largest body of a request, in MiB.")]
MaxRows = Annotated[int, typer.Option(min=1, help="Most rows of a request.")]
MaxRequests = Annotated[int, typer.Option(min=1, help="Most requests in progress; others get 429 and come again.")]
Log = Annotated[Path | None, typer.Option(help="Folder that requests and answers are logged in, for monitor to read.")]
LogShare = Annotated[float, typer.Option(min=0, max=1, help="Share of the requests that is logged.")]
LogSeconds = Annotated[float, typer.Option(min=1, help="Seconds between the files of the log.")]
LogKeep = Annotated[
    list[str] | None, typer.Option(help="Column to log though it is sensitive, a picture or a recording; repeatable.")
]
ActionsOption = Annotated[bool, typer.Option("--actions/--no-actions", help="Act upon live decisions.")]
Redeliver = Annotated[bool, typer.Option("--redeliver", help="Send what could not be delivered before once more.")]
Timeout = Annotated[
    float, typer.Option(min=1, help="Seconds within which a request has to be there, and its answer taken.")
]


def serve(
    places: Places,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    workers: WorkersOption = 1,
    batch_rows: BatchRows = 1024,
    batch_wait_ms: BatchWait = 0,
    poll_seconds: Poll = 2,
    max_body_mb: MaxBody = 16,
    max_rows: MaxRows = 2_000,
    max_requests: MaxRequests = 512,
    timeout: Timeout = 30,
    log: Log = None,
    log_share: LogShare = 1,
    log_seconds: LogSeconds = 30,
    log_keep: LogKeep = None,
    actions: ActionsOption = True,
    redeliver: Redeliver = False,
    as_json: AsJson = False,
) -> None:
    """Answer over REST: raw columns by name, or the Open Inference Protocol v2.

    Requests that arrive together are scored together, and a new champion is taken without a lost request.
    """
    home = prepare()
    from flows.up import asked_to_end
    from tasks.serving.limits import Limits
    from tasks.serving.server import Ready, Serving, run_server
    from tasks.serving.worker_settings import Logging

    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    limits = Limits(int(max_body_mb * (1 << 20)), rows=max_rows, seconds=timeout, requests=max_requests)
    logged = Logging(str(log.absolute()), log_share, log_seconds, tuple(log_keep or ())) if log else None
    # By address, which one server has at a time.
    endpoints = home / "endpoints" / f"{quote(host, safe='')}-{port}" if port else None
    how = Serving(
        host, port, workers, batch_rows, batch_wait_ms / 1000, poll_seconds, limits, logged,
        home / "actions" / "serve" if actions else None, endpoints, redeliver,
    )  # fmt: skip

    def tell(ready: Ready) -> None:
        show(ready, as_json, ready.lines())
        sys.stdout.flush()

    with asked_to_end() as asked:
        run_server(places, how, asked, tell)
