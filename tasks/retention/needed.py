"""What has to stay: everything that can be reached from what is in use, and what is too young to go."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from models.sections import MOST_WINDOWS
from tasks.retention.records import DAY, Inventory, Rule, RunRecord, TrainingRecord, VersionRecord


@dataclass(frozen=True)
class Needed:
    """What stays."""

    versions: frozenset[tuple[str, int]]
    models: frozenset[str]
    """Ids of logged models."""
    runs: frozenset[str]
    trainings: frozenset[str]
    """Names of folders, each with its model in front."""
    snapshots: frozenset[str]
    """Digests."""
    unsure: frozenset[str]
    """Models of which it can't be told which snapshots are needed: all stay."""


def find_needed(there: Inventory, rule: Rule, now: float) -> Needed:
    """What stays by the rule."""
    trainings = {_folder(t) for t in there.trainings if t.held or now - t.at < in_use_for(rule)}
    of_trainings = {t.run_id for t in there.trainings if _folder(t) in trainings}
    abandoned = {t.run_id for t in there.trainings} - of_trainings - {""}
    first = _runs_in_use(there, rule, now, abandoned) | of_trainings
    versions = set(_versions(there, rule, now, first))
    models = set(_models(there, rule, now, first, versions))
    behind = set(_runs_behind(there, versions, models)) | set(_last_windows(there, versions))
    runs = set(_with_parents(there, first | behind))
    stay = [v for v in there.versions if (v.model, v.number) in versions and v.ours]
    named = {v.snapshot for v in stay} | {r.snapshot for r in there.runs if r.run_id in runs}
    young = {s.digest for s in there.snapshots if now - s.at < in_use_for(rule)}
    unsure = there.unreadable | {v.model for v in stay if v.snapshot is None} | _strangers(there, rule)
    snapshots = young | {digest for digest in named if digest}
    return Needed(
        frozenset(versions), frozenset(models), frozenset(runs), frozenset(trainings), frozenset(snapshots),
        frozenset(unsure),
    )  # fmt: skip


def in_use_for(rule: Rule) -> float:
    """Seconds for which a file may be in use without a word of it anywhere, such as a snapshot before its training."""
    return max(rule.older_than, 1) * DAY


def _folder(training: TrainingRecord) -> str:
    return f"{training.model}/{training.name}"


def _strangers(there: Inventory, rule: Rule) -> set[str]:
    """Models that this registry knows nothing of and nobody has named: another registry may need their snapshots."""
    with_files = {snapshot.model for snapshot in there.snapshots} | {part.model for part in there.parts}
    return with_files - {version.model for version in there.versions} - rule.named


def _runs_in_use(there: Inventory, rule: Rule, now: float, abandoned: set[str]) -> set[str]:
    """Runs that are young or under way, or go on when their command is given again."""
    waiting = {box.run_id for box in there.outboxes if box.open}
    return {
        run.run_id
        for run in there.runs
        if now - run.at < rule.older_than * DAY
        or (run.status == "RUNNING" and run.run_id not in abandoned and not run.deleted)
        or (run.job == "score" and run.status != "FINISHED" and not run.deleted)
        or run.run_id in waiting
    }


def _versions(there: Inventory, rule: Rule, now: float, runs: set[str]) -> Iterator[tuple[str, int]]:
    by_model: dict[str, list[VersionRecord]] = defaultdict(list)
    for version in sorted(there.versions, key=lambda v: -v.number):
        by_model[version.model].append(version)
    under_way = {r.run_id for r in there.runs if r.status == "RUNNING" and r.run_id in runs}
    scoring = {pair for run in there.runs if run.job == "score" and run.run_id in runs for pair in run.versions}
    for model, all_of_it in by_model.items():
        spare = [v.number for v in all_of_it if v.ours and not v.aliased]
        for version in all_of_it:
            if (
                version.aliased
                or not version.ours
                # By the newest, `retrain` tells whether anything changed.
                or version is all_of_it[0]
                or version.number in spare[: rule.keep_versions]
                or now - version.at < rule.older_than * DAY
                or version.run_id in under_way
                or (model, version.number) in scoring
            ):
                yield model, version.number


def _models(there: Inventory, rule: Rule, now: float, runs: set[str], versions: set[tuple[str, int]]) -> Iterator[str]:
    registered = {v.model_id for v in there.versions}
    stay = {v.model_id for v in there.versions if (v.model, v.number) in versions}
    under_way = {r.run_id for r in there.runs if r.status == "RUNNING" and r.run_id in runs}
    for model in there.models:
        alone = now - model.at < rule.older_than * DAY or model.run_id in under_way
        if model.model_id in stay or (alone and model.model_id not in registered):
            yield model.model_id


def _runs_behind(there: Inventory, versions: set[tuple[str, int]], models: set[str]) -> Iterator[str]:
    """Runs that made what stays, or judged it."""
    yield from (v.run_id for v in there.versions if (v.model, v.number) in versions)
    yield from (m.run_id for m in there.models if m.model_id in models)
    yield from (r.run_id for r in there.runs if r.job == "promote" and r.versions & versions)


def _last_windows(there: Inventory, versions: set[tuple[str, int]]) -> Iterator[str]:
    """Monitorings that tell whether the next one of a version that stays is one breach too many."""
    monitorings = [run for run in there.runs if run.job == "monitor" and run.status == "FINISHED" and not run.deleted]
    count: dict[tuple[str, int], int] = defaultdict(int)
    for run in sorted(monitorings, key=lambda run: -run.at):
        for version in run.versions & versions:
            if count[version] < MOST_WINDOWS:
                yield run.run_id
            count[version] += 1


def _with_parents(there: Inventory, runs: set[str]) -> Iterator[str]:
    by_id: dict[str, RunRecord] = {run.run_id: run for run in there.runs}
    for run_id in runs:
        seen: set[str] = set()
        current = run_id
        while current and current not in seen:
            seen.add(current)
            current = by_id[current].parent if current in by_id else ""
        yield from seen
