"""The command line: parses, calls a flow, prints. Everything heavy is imported by the command that needs it."""

import sys
from typing import Annotated

import typer

from flows.deploy_command import EXAMPLE as DEPLOY_EXAMPLE
from flows.deploy_command import deploy
from flows.environment import keep_off_screen, prepare
from flows.import_command import EXAMPLE as IMPORT_EXAMPLE
from flows.import_command import import_model
from flows.loading import watched
from flows.measure_command import EXAMPLE as MEASURE_EXAMPLE
from flows.measure_command import measure
from flows.monitor_command import EXAMPLE as MONITOR_EXAMPLE
from flows.monitor_command import monitor
from flows.options import (
    AddressOption,
    ApplyOption,
    AsJson,
    DebugOption,
    DryRunOption,
    EngineOption,
    FreshOption,
    KeepVersionsOption,
    ModelFileArgument,
    ModelFilesArgument,
    NameArgument,
    NamesArgument,
    OlderThanOption,
    VersionOption,
    WhyOption,
    WorkersOption,
)
from flows.promote_command import EXAMPLE as PROMOTE_EXAMPLE
from flows.promote_command import promote
from flows.ready import prefect_ready
from flows.score_command import EXAMPLE, score
from flows.screen import rows_line, show, show_problems, tell_error, trained_lines, verdict_lines, without_warnings
from flows.serve_command import EXAMPLE as SERVE_EXAMPLE
from flows.serve_command import serve
from flows.tune_command import EXAMPLE as TUNE_EXAMPLE
from flows.tune_command import tune
from flows.up_command import EXAMPLE as UP_EXAMPLE
from flows.up_command import up
from models.errors import InputError, OutsideError, RefusedError
from tasks.training.engine import choose_engine

app = typer.Typer(
    name="perennial",
    help="The whole life of a model in one file: ingest, train, judge, promote, score, retrain.",
    epilog="Start with: perennial demo. Each command explains itself with --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


def main() -> None:
    """Runs the command line; an error that a user can act on is one plain line and an exit code."""
    debug, as_json = "--debug" in sys.argv, "--json" in sys.argv
    if not debug:
        keep_off_screen()
    try:
        with without_warnings(debug):
            app([word for word in sys.argv[1:] if word != "--debug"])
    except SystemExit as end:
        # Typer turns an interrupt into this code without a word.
        if end.code == INTERRUPTED:
            line = "interrupted; the same command goes on: training after its last epoch, scoring after its last shard"
            print(line, file=sys.stderr)
            show_problems([line], INTERRUPTED, as_json)
        # What Typer has told already: an unknown option, a missing argument.
        elif isinstance(end.__context__, typer.TyperException):
            show_problems([end.__context__.format_message()], InputError.exit_code, as_json)
        raise
    except Exception as error:
        sys.exit(tell_error(error, debug, as_json))


@app.callback()
def options(
    version: VersionOption = False,
    debug: DebugOption = False,
) -> None:
    """The whole life of a model in one file: ingest, train, judge, promote, score, retrain."""
    # `main` has taken --debug out of the words before, so that it may stand anywhere.


@app.command(epilog="Example: perennial new churn.toml --data customers.csv --target churned")
def new(
    file: ModelFileArgument,
    data: Annotated[
        list[str],
        typer.Option(metavar="DATA", help="Data to look at: a file, folder or glob, or several."),
    ],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict; of class folders: class.")],
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented model file by looking at the data."""
    from flows.propose import write_proposal

    written = write_proposal(file, [*data, *(more or [])], target)
    show(written, as_json, written.lines())


@app.command(epilog="Example: perennial check churn.toml --json")
def check(files: ModelFilesArgument, as_json: AsJson = False) -> None:
    """Report every problem of model files and data.

    All problems come at once; the exit code is 2 when there is one.
    """
    from flows.check import check_files, describe

    examined = check_files(files)
    lines = [line for path, found in examined.items() for line in describe(path, found)]
    show({"models": {str(path): found.as_json() for path, found in examined.items()}}, as_json, lines)
    if not all(found.passed for found in examined.values()):
        raise typer.Exit(2)


@app.command(epilog="Example: perennial train churn.toml   then: perennial promote churn")
def train(
    file: ModelFileArgument,
    fresh: FreshOption = False,
    dry_run: DryRunOption = False,
    engine: EngineOption = "local",
    workers: WorkersOption = 1,
    address: AddressOption = None,
    as_json: AsJson = False,
) -> None:
    """Train a model and register it as challenger.

    Ingests and checks the data, trains, exports to ONNX, and judges the exported file on unseen rows.
    """
    if dry_run:
        prepare()
        from flows.dry_run import describe, plan

        planned = plan(file)
        show(planned, as_json, list(describe(planned)))
        return
    with prefect_ready():
        from models.modelfile import read_trainable

        choose_engine(engine, workers, address)
        read_trainable(file)
        from flows.train import preload
        from flows.train import train as flow

        preload()
    trained = watched(flow)(file.resolve(), fresh, engine, workers, address)
    show(trained, as_json, [*rows_line(trained), *trained_lines(trained)])


app.command(epilog=PROMOTE_EXAMPLE)(promote)


@app.command(epilog="Example: perennial rollback churn --why 'complaints since noon'")
def rollback(
    name: NameArgument,
    why: WhyOption = "by hand",
    as_json: AsJson = False,
) -> None:
    """Put the previous champion back."""
    with prefect_ready():
        from flows.rollback import rollback as flow
        from tasks.registry.versions import require_model

        require_model(name)

    back = watched(flow)(name, why)
    line = f"{name}: version {back.version} is champion again; version {back.replaced} won't be promoted by itself"
    show(back, as_json, [line])


@app.command(epilog="Example: perennial history churn 3")
def history(
    name: NameArgument,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Only this version, with all reasons.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show promotions, refusals and rollbacks, and why."""
    prepare()
    from flows.history import history_of, history_table, holders_of

    events, holders = history_of(name, version), holders_of(name)
    who = {alias: holders.get(alias) for alias in ("champion", "previous", "challenger")}
    show({"model": name, **who, "events": events}, as_json, history_table(events, holders, version is not None))


@app.command(epilog="Example: perennial retrain churn.toml")
def retrain(
    file: ModelFileArgument,
    engine: EngineOption = "local",
    workers: WorkersOption = 1,
    address: AddressOption = None,
    as_json: AsJson = False,
) -> None:
    """Train again and promote if better.

    Does nothing when data, model file and code are unchanged, too few rows are new, or a version waits for approval.
    The exit code is 1 when the new version is refused, undecided, or is the one that has to be approved.
    """
    with prefect_ready():
        from models.modelfile import read_trainable

        choose_engine(engine, workers, address)
        read_trainable(file)
        from flows.retrain import retrain as flow

    done = watched(flow)(file.resolve(), engine, workers, address)
    show(done, as_json, [*rows_line(done), *verdict_lines(done)])
    if done.outcome in ("no", "undecided", "waiting"):
        raise typer.Exit(RefusedError.exit_code)


app.command(epilog=TUNE_EXAMPLE)(tune)
app.command("import", epilog=IMPORT_EXAMPLE)(import_model)
app.command(epilog=EXAMPLE)(score)
app.command(epilog=MONITOR_EXAMPLE)(monitor)
app.command(epilog=SERVE_EXAMPLE)(serve)
app.command(epilog=MEASURE_EXAMPLE)(measure)
app.command(epilog=UP_EXAMPLE)(up)


app.command(epilog=DEPLOY_EXAMPLE)(deploy)


@app.command(epilog="Example: perennial ui --port 5001")
def ui(
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="Port to listen on.")] = 5000,
    print_uri: Annotated[bool, typer.Option("--print-uri", help="Say where MLflow's data is, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open the MLflow UI on this project's runs."""
    prepare()
    from flows.ui import serve_ui, tracking_uri

    if print_uri:
        show({"tracking_uri": tracking_uri()}, as_json, [tracking_uri()])
    else:
        serve_ui(port)


@app.command(epilog="Example: perennial gc --older-than 90   then, with the same options: perennial gc ... --apply")
def gc(
    names: NamesArgument = None,
    apply: ApplyOption = False,
    older_than: OlderThanOption = 30,
    keep_versions: KeepVersionsOption = 5,
    as_json: AsJson = False,
) -> None:
    """Show, or remove with --apply, what nobody needs any more.

    Snapshots, checkpoints, runs and versions without an alias. Nothing goes that a version with an alias needs. The
    exit code is 3 when something could not be removed.
    """
    if apply:
        with prefect_ready():
            from flows.gc import gc as flow

        done = watched(flow)(names or [], older_than, keep_versions)
    else:
        prepare()
        from flows.forgotten import preview

        done = preview(names or [], older_than, keep_versions)
    from flows.forgotten import table

    show(done, as_json, table(done))
    if done.problems:
        raise typer.Exit(OutsideError.exit_code)


@app.command(epilog='Example: eval "$(perennial env)"   then: prefect server start, or mlflow, or python')
def env(as_json: AsJson = False) -> None:
    """Print the settings for mlflow, prefect and python in this shell.

    They find the same state, and send no usage reports. Credentials that the environment holds already are not printed.
    """
    import shlex

    from flows.environment import settings_in_force

    settings = settings_in_force()
    lines = [f"export {key}={shlex.quote(value)}" for key, value in settings.items()]
    show({"settings": settings}, as_json, lines)


@app.command(epilog="Example: PERENNIAL_HOME=look perennial demo   (elsewhere than among your own models)")
def demo(
    example: Annotated[
        str | None, typer.Argument(help="One of the shipped examples; `perennial demo list` shows them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's whole life on real data, or a shipped example of pictures, texts, sound or series."""
    prepare()
    from flows.demo import list_examples, run_demo, run_example

    if example == "list":
        show(list_examples(), as_json, [f"{name:<18}{story}" for name, story in list_examples().items()])
        return

    def run(words: list[str]) -> None:
        # Typer returns the code of an exit here instead of raising it.
        code = app(words, standalone_mode=False)
        if code:
            raise typer.Exit(code)

    played = run_example(example, run) if example else run_demo(run)
    show(played, as_json, played.lines())
