"""The command line: parses, calls a flow, prints. Everything heavy is imported by the command that needs it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.loading import loading, watched
from models.errors import InputError, OutsideError, PerennialError

if TYPE_CHECKING:
    from flows.results import Promoted

app = typer.Typer(
    name="perennial",
    help="The whole life of a model in one file: ingest, train, judge, promote, score, retrain.",
    epilog="Start with: perennial demo. Each command explains itself with --help; --debug shows an error's traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
ModelFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The model file.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line, for machines.")]


def main() -> None:
    """Runs the command line; an error that a user can act on is one plain line and an exit code."""
    debug = "--debug" in sys.argv
    try:
        app([word for word in sys.argv[1:] if word != "--debug"])
    except PerennialError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        first = next(iter(str(error).splitlines()), "")
        print(f"unexpected {type(error).__name__}: {first}; run it again with --debug to see where", file=sys.stderr)
        # Nobody's input was wrong, and 1 would be read as a judgement.
        sys.exit(OutsideError.exit_code)
    except SystemExit as end:
        # Typer turns an interrupt into this code without a word.
        if end.code == INTERRUPTED:
            print("interrupted; a training goes on after its last epoch when it is started again", file=sys.stderr)
        raise


@app.command(epilog="Example: perennial new churn.toml --data customers.csv --target churned")
def new(
    file: ModelFileArgument,
    data: Annotated[
        list[str], typer.Option(help="Data to look at: a file, folder or glob. May be given several times.")
    ],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    as_json: AsJson = False,
) -> None:
    """Write a commented model file by looking at the data."""
    from tasks.data.inspect import propose

    if file.exists():
        raise InputError(f"{file}: exists already; choose another name or delete it")
    proposal = propose(data, target, _model_name(file), file.parent.absolute())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(proposal.text, encoding="utf-8")
    closing = [f"wrote {file}", f"next: perennial check {file}   then: perennial train {file}"]
    _print({"file": file, "findings": proposal.findings}, as_json, [*proposal.findings, *closing])


@app.command(epilog="Example: perennial check churn.toml --json")
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model files.")], as_json: AsJson = False
) -> None:
    """Report every problem of model files and data.

    All problems come at once; the exit code is 2 when there is one.
    """
    from flows.check import check_files, describe

    examined = check_files(files)
    lines = [line for path, found in examined.items() for line in describe(path, found)]
    _print({"models": {str(path): found.as_json() for path, found in examined.items()}}, as_json, lines)
    if not all(found.passed for found in examined.values()):
        raise typer.Exit(2)


@app.command(epilog="Example: perennial train churn.toml   then: perennial promote churn")
def train(
    file: ModelFileArgument,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew instead of going on with an interrupted training.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say rows, parameters and expected time, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model and register it as challenger.

    Ingests and checks the data, trains, exports to ONNX, and judges the exported file on unseen rows.
    """
    if dry_run:
        _prepare()
        from flows.dry_run import describe, plan

        planned = plan(file)
        _print(planned, as_json, list(describe(planned)))
        return
    with _prefect():
        from models.modelfile import read_model_file

        read_model_file(file)
        from flows.train import train as flow

    trained = watched(flow)(file.resolve(), fresh)
    lines = [f"{name.replace('_', ' ')}: {value:.4f}" for name, value in trained.metrics.items()]
    head = f"{trained.model} version {trained.version} is trained and waits as challenger; on unseen rows:"
    _print(trained, as_json, [head, *(f"  {line}" for line in lines), f"next: perennial promote {trained.model}"])


@app.command(epilog="Example: perennial promote churn --why 'monthly review'")
def promote(
    name: NameArgument,
    version: Annotated[str | None, typer.Option(help="The version to judge; the challenger if not given.")] = None,
    why: Annotated[str, typer.Option(help="Goes into the history.")] = "by hand",
    as_json: AsJson = False,
) -> None:
    """Judge the challenger against the champion.

    The exit code is 1 when the answer is no, with the reasons.
    """
    with _prefect():
        from flows.promote import promote as flow
        from tasks.registry.versions import require_model

        require_model(name)

    _show_verdict(watched(flow)(name, version, why), as_json)


@app.command(epilog="Example: perennial rollback churn --why 'complaints since noon'")
def rollback(
    name: NameArgument,
    why: Annotated[str, typer.Option(help="Goes into the history.")] = "by hand",
    as_json: AsJson = False,
) -> None:
    """Put the previous champion back."""
    with _prefect():
        from flows.rollback import rollback as flow
        from tasks.registry.versions import require_model

        require_model(name)

    back = watched(flow)(name, why)
    line = f"{name}: version {back.version} is champion again; version {back.replaced} won't be promoted by itself"
    _print(back, as_json, [line])


@app.command(epilog="Example: perennial history churn 3")
def history(
    name: NameArgument,
    version: Annotated[str | None, typer.Argument(help="Only this version, with all reasons.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show promotions, refusals and rollbacks, and why."""
    _prepare()
    from flows.history import history_of, history_table

    events = history_of(name, version)
    _print({"model": name, "events": events}, as_json, history_table(name, events, in_full=version is not None))


@app.command(epilog="Example: perennial retrain churn.toml")
def retrain(file: ModelFileArgument, as_json: AsJson = False) -> None:
    """Train again and promote if better.

    Does nothing when data, model file and code are unchanged. The exit code is 1 when the new version is refused.
    """
    with _prefect():
        from models.modelfile import read_model_file

        read_model_file(file)
        from flows.results import Promoted
        from flows.retrain import retrain as flow

    done = watched(flow)(file.resolve())
    if done.unchanged:
        line = f"unchanged: {done.model} version {done.version} was made from the same data, model file and code"
        _print(done, as_json, [line])
    else:
        _show_verdict(Promoted(done.model, done.version, done.promoted, done.outcome, done.reasons), as_json, done)


@app.command(epilog="Example: perennial score churn --input new.csv --output scored")
def score(
    name: Annotated[
        str, typer.Argument(metavar="NAME_OR_URI", help="NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI.")
    ],
    input: Annotated[list[str], typer.Option(help="A file, folder or glob. May be given several times.")],  # noqa: A002
    output: Annotated[Path, typer.Option(help="A .parquet, .csv or .jsonl file, or a folder for Parquet files.")],
    keep: Annotated[
        list[str] | None, typer.Option(help="Input columns to write along; all but sensitive ones if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Judge a waiting challenger first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score files into files.

    Every row ends once, in the predictions or with a reason in the rejects.
    """
    with _prefect():
        _require_files(input, output, overwrite)
        from flows.score import score as flow

    done = watched(flow)(name, [_absolute(uri) for uri in input], output.absolute(), keep, overwrite, promote)
    used = f"{done.model} version {done.version}"
    counts = f"{done.rows:,} rows: {done.scored:,} scored with {used}, {done.rejected:,} rejected"
    reasons = [f"  {count:,} {reason}" for reason, count in done.reasons.items()]
    _print(done, as_json, [counts, *reasons, f"predictions: {done.predictions}", f"rejects: {done.rejects}"])


@app.command(epilog="Example: perennial deploy models/*.toml   then: prefect worker start --pool perennial")
def deploy(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model files.")], as_json: AsJson = False
) -> None:
    """Register Prefect deployments of model files.

    Retraining on the file's schedule; training, promotion and scoring on demand.
    """
    # Not through `_prefect`: what comes next depends on whether the user has named a server.
    _prepare()
    from flows.deploy import deploy as register
    from flows.deploy import next_steps

    names = register(files)
    _print({"deployments": names}, as_json, [*(f"deployed {name}" for name in names), *next_steps()])


@app.command(epilog="Example: perennial ui --port 5001")
def ui(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000,
    print_uri: Annotated[bool, typer.Option("--print-uri", help="Say where MLflow's data is, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open the MLflow UI on this project's runs."""
    _prepare()
    from flows.ui import serve_ui, tracking_uri

    if print_uri:
        _print({"tracking_uri": tracking_uri()}, as_json, [tracking_uri()])
    else:
        serve_ui(port)


@app.command()
def demo() -> None:
    """Show a model's whole life on real data."""
    _prepare()
    from flows.demo import run_demo

    def run(words: list[str]) -> None:
        # Typer returns the code of an exit here instead of raising it.
        code = app(words, standalone_mode=False)
        if code:
            raise typer.Exit(code)

    run_demo(run)


def _prepare() -> None:
    """Settings for MLflow and Prefect, before either is imported; their own log lines stay off the screen."""
    import os

    from flows import environment

    os.environ.update({**environment.OFF_SCREEN, **os.environ})
    environment.prepare()


@contextmanager
def _prefect() -> Iterator[None]:
    """Settings, and a Prefect server to run the flow that is imported in the block; one may start meanwhile."""
    _prepare()
    from flows.temporary_server import prefect_server

    with prefect_server(), loading():
        yield
        # Opening the tracking store takes a second, in which the server starts as well.
        from tasks.registry.connection import connect, plain_errors

        with plain_errors("opening the tracking store"):
            connect()


def _require_files(inputs: list[str], output: Path, overwrite: bool) -> None:
    """Raises InputError for what a scoring run would refuse anyway, before anybody waits for a server."""
    from tasks.data.sources import resolve
    from tasks.scoring.sinks import destination, require_free

    require_free(destination(output.absolute()), overwrite)
    for uri in inputs:
        resolve(_absolute(uri))


def _model_name(file: Path) -> str:
    """The file's name in the characters that a model's name may have."""
    import re

    return re.sub(r"[^\w.-]+", "-", file.stem).strip("-.") or "model"


def _absolute(uri: str) -> str:
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def _show_verdict(verdict: "Promoted", as_json: bool, whole: Any = None) -> None:
    heads = {
        "yes": f"{verdict.model} version {verdict.version} is champion now:",
        "no": f"{verdict.model} version {verdict.version} is refused:",
        "undecided": f"{verdict.model} version {verdict.version} stays challenger, the judgement is undecided:",
    }
    _print(whole or verdict, as_json, [heads[verdict.outcome], *(f"  {reason}" for reason in verdict.reasons)])
    if not verdict.promoted:
        raise typer.Exit(1)


def _print(result: Any, as_json: bool, lines: list[str]) -> None:
    """Lines for people; with --json, the result alone as one line."""
    if not as_json:
        print("\n".join(lines))
        return
    import json
    from dataclasses import asdict, is_dataclass

    def plain(value: Any) -> Any:
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)

    print(
        json.dumps(asdict(result) if is_dataclass(result) and not isinstance(result, type) else result, default=plain)
    )
