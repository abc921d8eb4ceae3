"""From the rows of a window to what has drifted since a version was trained."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import flow

from flows.artifacts import show_drift
from flows.crashes import at_work, running, sweep_crashed
from flows.environment import state_folder
from flows.late import is_deployed, newer_run, skipped
from flows.results import Monitored, monitored
from tasks.monitoring.outcomes import LabelFiles
from tasks.monitoring.steps import (
    Expected,
    compare,
    emit_drifted,
    expected_of,
    files_read,
    find_alarm,
    look_at_window,
    open_monitoring_run,
    profile_window,
    record_drift,
)
from tasks.monitoring.window import Window, nothing_new, window_of
from tasks.registry.runs import finishing
from tasks.registry.steps import resolve_version, resolve_version_if_there
from tasks.registry.versions import Version, parse_name
from tasks.scoring.inputs import Sources
from tasks.scoring.request import Options, Request
from tasks.scoring.score import Scores


@flow(name="monitor", flow_run_name="monitor {model}", timeout_seconds=24 * 3600)
def monitor(
    model: str,
    input: Sequence[str],  # noqa: A002 - the name is a parameter of the deployment's form
    since: str | None = None,
    until: str | None = None,
    time: str | None = None,
    partition: Sequence[str] = (),
    query: str | None = None,
    key: str | None = None,
    version_column: str | None = None,
    new: bool = False,
    labels: str | None = None,
    on: str | None = None,
) -> Monitored:
    """Compares rows with those that a version was trained on, and its predictions with those for its test rows.

    Where labels have arrived, the version's performance is compared with that on its test rows. Where enough of the
    version's last windows have drifted or are worse, this one included, an event follows.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, or a models:/ URI.
        input: Files, folders, globs; tables: postgresql://host/db#schema.table or sqlite:////path/file.db#table. Leave
            users and passwords to PGUSER, PGPASSWORD, PGPASSFILE or PGSERVICE: what is typed here is stored.
        since: Only rows of this date or time, or later, such as 2026-11-24 or 2026-11-24T06:00:00+01:00.
        until: Only rows that are earlier.
        time: The column that since and until look at; the model's own time if not given.
        partition: Only files in folders of these Hive partitions, such as year=2024.
        query: A SELECT statement whose rows are taken, for a database that is given without #table.
        key: Column of a table or query that orders its rows and holds another value in each.
        version_column: Column of a table or query that grows with each change, such as a time: changes are noticed.
        new: Only files that no earlier window of the model has read; nothing is done where there are none.
        labels: Files of labels that have arrived since, which need rows that were read before: turn new off. None are
            needed where the input has the model's target.
        on: Column of both the input and the labels by which they belong together.
    """
    options = Options(
        since=since,
        until=until,
        time=time,
        partitions=tuple(partition),
        query=query,
        key=key,
        version_column=version_column,
    )
    return monitor_request(input, Request.of(model, input, options, None), new, LabelFiles.of(labels, on, new))


def monitor_request(inputs: Sequence[str], request: Request, new: bool, labels: LabelFiles | None) -> Monitored:
    """The steps of a monitoring; `inputs` may hold credentials, the request does not."""
    home = state_folder()
    sweep_crashed(home)
    with at_work(home):
        resolve = resolve_version_if_there if new and is_deployed() else resolve_version
        version = resolve(request.asked)
        if isinstance(version, str):
            return skipped(Monitored.without(parse_name(request.asked).model, "", version), version)
        late = newer_run()
        if late:
            return skipped(Monitored.without(version.model, version.number, late), late)
        known = files_read(version.model)
        sources = look_at_window(inputs, request.options, known, new)
        if not sources.files:
            nothing = nothing_new(sources)
            return skipped(Monitored.without(version.model, version.number, nothing), nothing)
        expected = expected_of(version)
        run_id = open_monitoring_run(version, request.inputs, home)
        with running(run_id, home), finishing(run_id):
            window = profile_window(version, expected, sources, request.options, labels)
            return judge_window(run_id, version, expected, window, request, known, sources)


def monitor_scores(
    version: Version, expected: Expected, scores: Scores, request: Request, sources: Sources
) -> Monitored:
    """The steps of a monitoring of rows that were counted while they were scored."""
    home, known = state_folder(), files_read(version.model)
    run_id = open_monitoring_run(version, request.inputs, home)
    with running(run_id, home), finishing(run_id):
        return judge_window(run_id, version, expected, window_of(expected.profile, scores), request, known, sources)


def judge_window(
    run_id: str,
    version: Version,
    expected: Expected,
    window: Window,
    request: Request,
    known: Sequence[Mapping[str, Any]],
    sources: Sources,
) -> Monitored:
    """What has drifted in a window, on record, and what follows from it and the windows before."""
    drift = compare(expected, window)
    report = record_drift(run_id, version, expected, window, drift, request.inputs)
    alarm = find_alarm(run_id, version, expected, window, drift, request.options, known, sources)
    event = emit_drifted(run_id, version, drift, alarm) if alarm.raised else None
    show_drift(version, window, drift, report)
    return monitored(version, run_id, window, drift, report, alarm, event)
