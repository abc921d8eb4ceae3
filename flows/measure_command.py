"""The command `perennial measure`: the cheapest way to run a version on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.environment import prepare
from flows.loading import watched
from flows.options import AsJson
from flows.ready import prefect_ready
from flows.results import Measured
from flows.screen import show
from models.errors import InputError, RefusedError

EXAMPLE = """Example: perennial measure churn --register   then: perennial promote churn

On another machine: perennial measure churn --output here   then: perennial measure churn --compare a.json b.json"""

EXAMPLE_PRICE = " at an example's price"

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A registered model (its champion), NAME@ALIAS, NAME/VERSION, a models:/ URI, or its model file, whose "
        "[hardware] limits then count.",
    ),
]
Files = Annotated[list[Path] | None, typer.Argument(hidden=True)]
Provider = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Measure this execution provider, such as cuda; all that are present if not given."
    ),
]
ProviderOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of that provider, as ONNX Runtime names it.")
]
PrecisionOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="float32, float16, int8-dynamic, int8-tensor or int8-channel; all if not given."),
]
BatchRows = Annotated[
    list[int] | None, typer.Option(metavar="N", help="Rows of a batch beside the usual size; 64 and 512 if not given.")
]
Threads = Annotated[
    list[int] | None,
    typer.Option(metavar="N", help="Threads; one, half of the cores and all of them if not given."),
]
Optimization = Annotated[
    list[str] | None,
    typer.Option(metavar="LEVEL", help="Of the graph: none, basic, extended or all; the last three if not given."),
]
Rounds = Annotated[int, typer.Option(metavar="N", help="How often each point is measured, in turns.")]
Seconds = Annotated[float, typer.Option(metavar="S", help="Of each, for throughput, and as many again for latency.")]
PricesFile = Annotated[
    Path | None, typer.Option("--prices", metavar="FILE", help="Hourly prices and power of machines.")
]
MachineName = Annotated[str | None, typer.Option("--machine", metavar="KEY", help="Which of them this machine is.")]
Output = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where hardware.html and the results as JSON are written.")
]
Register = Annotated[
    bool, typer.Option("--register", help="Register the chosen graph as challenger, where it is not in float32.")
]
Compare = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE...", help="Measure nothing; lay results of several machines side by side."),
]
Forget = Annotated[
    bool, typer.Option("--forget", help="Measure nothing; the version has no settings of its own again.")
]


def measure(
    model: Model,
    more: Files = None,
    provider: Provider = None,
    provider_option: ProviderOption = None,
    precision: PrecisionOption = None,
    batch_rows: BatchRows = None,
    threads: Threads = None,
    optimization: Optimization = None,
    rounds: Rounds = 3,
    seconds: Seconds = 0.5,
    prices: PricesFile = None,
    machine: MachineName = None,
    output: Output = None,
    register: Register = False,
    compare: Compare = None,
    forget: Forget = False,
    as_json: AsJson = False,
) -> None:
    """Find the cheapest hardware settings that keep a version's accuracy.

    Providers, precisions, batch sizes and threads are measured, and the cheapest is chosen on the version's validation
    rows; test rows tell what it loses. Its settings are used by score and serve from then on. The exit code is 1 when
    nothing keeps within the limits of the model file, or what was chosen does not on the test rows.
    """
    if forget:
        _forget(model, as_json)
        return
    if compare:
        _compare(model, [*compare, *(more or [])], output, as_json)
        return
    if more:
        raise InputError(f"measure: {more[0]}: is of no use without --compare")
    with prefect_ready():
        from tasks.hardware.asked import Options, ask

        options = Options(
            provider=tuple(provider or ()),
            provider_option=tuple(provider_option or ()),
            precision=tuple(precision or ()),
            batch_rows=tuple(batch_rows or ()),
            threads=tuple(threads or ()),
            optimization=tuple(optimization or ()),
            rounds=rounds,
            seconds=seconds,
            prices=prices.absolute() if prices else None,
            machine=machine,
            output=output.absolute() if output else None,
        )
        ask(model, options)
        from flows.measure import measure as flow

    done = watched(flow)(model, options, register)
    show(done, as_json, _lines(done))
    if done.chosen is None or done.refused:
        raise typer.Exit(RefusedError.exit_code)


def _lines(done: Measured) -> list[str]:
    """What was chosen and why, what was left out, and what to do next."""
    who, best = f"{done.model} version {done.version}", done.chosen
    notes = ["warning: the machine was busy with other work; measure again when it is quiet"] if done.busy else []
    left = [f"not measured: {what}: {why}" for what, why in done.not_measured.items()]
    if done.choice["split"] == "train":
        notes = [*notes, "note: no rows validate, so training rows chose, which the model has learnt from"]
    around = [*notes, *left, f"report: {done.report}", f"results: {done.result}"]
    if best is None:
        return [f"{who}: {done.why}", *around]
    from tasks.hardware.prices import show_cost
    from tasks.hardware.results import Drawn

    price = (
        f", {show_cost(best['cost'])} {done.currency} a million predictions{EXAMPLE_PRICE * done.example}"
        if best["cost"] is not None
        else ""
    )
    told = [
        f"{who}: {best['name']}",
        f"  {best['rows_per_second']:,.0f} rows/s{price}; {done.why}",
        f"  99 of 100 single rows within {best['latency_p99_ms']:.3g} ms, {best['peak_mb']:.0f} MB of memory, "
        f"{best['size_mb']:.3g} MB of graph",
        f"  chosen on {Drawn(**done.choice).text}: {_compared(done.metric, best['choice'])}",
        f"  then on {Drawn(**done.test).text}: {_compared(done.metric, best['test'])}",
    ]
    refused = [f"refused, and not registered: on the test rows {done.refused}"] if done.refused else []
    return [*told, *refused, _kept(done), *around, *_next(done)]


def _compared(metric: str, found: Mapping[str, Any]) -> str:
    return (
        f"{metric.replace('_', ' ')} {_number(found['value'])}, {_number(found['difference'], '+')} to float32 "
        f"(95 % interval {_number(found['low'], '+')} to {_number(found['high'], '+')})"
    )


def _kept(done: Measured) -> str:
    """What the version is scored and served with from here on."""
    from tasks.hardware.points import Point
    from tasks.scoring.execution import Execution

    if done.settings is None:
        return f"version {done.version} keeps the settings that it had: {done.unkept}"
    return f"kept on version {done.version}: {Point('float32', Execution.of(done.settings)).name}"


def _number(value: float | None, sign: str = "") -> str:
    return "unknown" if value is None else f"{value:{sign}.4f}"


def _next(done: Measured) -> list[str]:
    if done.refused:
        limit = "[hardware] max_accuracy_loss"
        return [f"next: to allow that loss, raise {limit} in the model file, and measure by that file; or leave it"]
    if done.registered:
        return [f"registered as version {done.registered}", f"next: perennial promote {done.model}"]
    if done.chosen and done.chosen["precision"] != "float32":
        return [f"next: perennial measure {done.model}/{done.version} --register makes it a version of its own"]
    return []


def _compare(model: str, files: list[Path], output: Path | None, as_json: bool) -> None:
    home = prepare()
    from tasks.hardware.asked import name_of
    from tasks.hardware.report import headline, write_report
    from tasks.hardware.results import read_results

    name = name_of(model)[0].partition("@")[0].partition("/")[0]
    results = read_results(files, name)
    report = write_report(results, output or home / "hardware" / name / "compared")
    machines = {each.machine.name: each.to_deploy.name if each.to_deploy else None for each in results}
    told = headline(results)
    show(
        {"model": name, "report": str(report), "machines": machines, "headline": told},
        as_json,
        [told, f"report: {report}"],
    )


def _forget(model: str, as_json: bool) -> None:
    prepare()
    from tasks.hardware.asked import name_of
    from tasks.hardware.variant import forget_settings
    from tasks.registry.versions import resolve

    version = resolve(name_of(model)[0])
    forgotten = forget_settings(version)
    told = "is scored as before any measurement" if forgotten else "had no settings of its own"
    line = f"{version.model} version {version.number} {told}"
    show({"model": version.model, "version": version.number, "forgotten": forgotten}, as_json, [line])
