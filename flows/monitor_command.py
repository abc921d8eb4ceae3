"""The command `perennial monitor`: whether rows have drifted from those that a version was trained on."""

from typing import Annotated

import typer

from flows.loading import watched
from flows.options import AsJson
from flows.paths import absolute, require_inputs
from flows.ready import prefect_ready
from flows.results import Monitored
from flows.score_options import Key, Partition, Query, Since, Time, Until, VersionColumn
from flows.screen import show
from models.errors import RefusedError

EXAMPLE = "Example: perennial monitor churn --input last-week.csv"
MOST_LINES = 20
LabelsOption = Annotated[
    str | None, typer.Option("--labels", metavar="DATA", help="Labels that have arrived, where the input has none.")
]
On = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of the input and of --labels: joins them.")]
New = Annotated[bool, typer.Option("--new", help="Only files that no earlier window of the model has read.")]

Name = Annotated[str, typer.Argument(metavar="NAME_OR_URI", help="NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI.")]
Input = Annotated[
    list[str], typer.Option(metavar="DATA", help="A file, folder, glob, or table. May be given several times.")
]


def monitor(
    name: Name,
    input: Input,  # noqa: A002 - the name of the option
    since: Since = None,
    until: Until = None,
    time: Time = None,
    partition: Partition = None,
    query: Query = None,
    key: Key = None,
    version_column: VersionColumn = None,
    new: New = False,
    labels: LabelsOption = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Compare rows with those that a version was trained on.

    The exit code is 1 when columns or predictions have drifted, with the largest changes first, or the version does
    worse than on its test rows, where labels have arrived. Where enough of its last windows are so, an event follows,
    which Prefect's automations can act upon.
    """
    with prefect_ready():
        require_inputs(input, query, key, version_column)
        from flows.monitor import monitor as flow

    done = watched(flow)(
        name, [absolute(uri) for uri in input], since=since, until=until, time=time, partition=partition or [],
        query=query, key=key, version_column=version_column, new=new,
        labels=labels and absolute(labels), on=on,
    )  # fmt: skip
    show(done, as_json, drift_lines(done))
    if done.drifted or done.worse:
        raise typer.Exit(RefusedError.exit_code)


def drift_lines(done: Monitored) -> list[str]:
    """What was compared, and what has drifted, for people."""
    if done.skipped:
        return [done.skipped]
    beside = f"compared with the training of {done.model} version {done.version}"
    counts = f"{done.rows:,} rows, {done.rejected:,} rejected, {beside}: "
    rows = [(str(c["of"] if c["column"] is None else c["column"]), str(c["facet"]), _change(c)) for c in done.drifted]
    wide, wider = (max((len(row[i]) for row in rows[:MOST_LINES]), default=0) for i in (0, 1))
    table = [f"  {name:<{wide}}  {facet:<{wider}}  {change}" for name, facet, change in rows[:MOST_LINES]]
    more = [f"  and {len(rows) - MOST_LINES} more"] if len(rows) > MOST_LINES else []
    return [
        counts + (f"{len(rows)} drifted" if rows else "nothing has drifted"),
        *table,
        *more,
        *_performance(done),
        *_alarm(done),
        f"report: {done.report}",
    ]


def _performance(done: Monitored) -> list[str]:
    """How the version does where labels have arrived."""
    if done.performance is None:
        return []
    few = f", too few to judge (promotion.min_rows = {done.performance['fewest']:,})"
    told = f"{done.performance['labelled']:,} rows with labels{'' if done.performance['enough'] else few}:"
    shown = [
        f"  {name} {each['now']['value']:.4f} ({each['now']['low']:.4f} to {each['now']['high']:.4f}), "
        f"promised {each['promised']['value']:.4f}{', worse' if each['worse'] else ''}"
        for name, each in done.performance["metrics"].items()
        if each["judged"]
    ]
    return [told, *shown]


def _alarm(done: Monitored) -> list[str]:
    """What this window and those before it say together, where it has drifted."""
    if not (done.drifted or done.worse):
        return []
    told = (
        f"{'drift' if done.drifted else 'worse'} in {done.breaches} of the last {done.windows} windows of this version"
    )
    return [told + (f": event {done.event}" if done.event else "")]


def _change(change: dict[str, object]) -> str:
    if change["psi"] is not None:
        return f"stability index {change['psi']:.3f}"
    return f"{change['before']:.1%} in the training, {change['now']:.1%} now"
