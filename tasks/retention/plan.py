"""What goes, in the order in which it goes: what refers to something before what it refers to, files last."""

from collections.abc import Iterator

from tasks.retention.needed import Needed, find_needed, in_use_for
from tasks.retention.records import DAY, Inventory, Item, PartRecord, Rule


def plan(there: Inventory, rule: Rule, now: float) -> list[Item]:
    """What nobody needs any more, of the models that were named."""
    needed = find_needed(there, rule, now)
    found = [
        *_versions(there, needed, rule),
        *_models(there, needed),
        *_outboxes(there, rule, now),
        *_runs(there, needed),
        *_snapshots(there, needed),
        *_parts(there, needed, now),
        *_trainings(there, needed),
        *_left(there, now),
    ]
    return [item for item in found if not rule.named or item.model in rule.named]


def _versions(there: Inventory, needed: Needed, rule: Rule) -> Iterator[Item]:
    for version in sorted(there.versions, key=lambda v: (v.model, v.number)):
        if (version.model, version.number) not in needed.versions:
            files = tuple({version.model_id} - needed.models - {""})
            why = f"has no alias, and is not among the newest {max(rule.keep_versions, 1)}"
            yield Item("version", version.model, str(version.number), version.at, why, files)


def _models(there: Inventory, needed: Needed) -> Iterator[Item]:
    registered = {version.model_id for version in there.versions}
    for model in there.models:
        if model.model_id not in needed.models | registered:
            why = "belongs to no version"
            yield Item("model", model.model, model.model_id, model.at, why, (model.model_id,))


def _outboxes(there: Inventory, rule: Rule, now: float) -> Iterator[Item]:
    finished = {run.run_id: run for run in there.runs if run.status == "FINISHED"}
    for box in there.outboxes:
        if box.run_id in finished and not box.open and now - box.at >= in_use_for(rule):
            model = finished[box.run_id].model
            yield Item("outbox", model, box.run_id, box.at, "all its letters have arrived", (box.run_id,))


def _runs(there: Inventory, needed: Needed) -> Iterator[Item]:
    reasons = {
        "train": "no version that stays was trained in it",
        "import": "no version that stays was imported in it",
        "promote": "judged no version that stays",
        "score": "its scoring is finished",
    }
    for run in sorted(there.runs, key=lambda r: (r.model, r.at)):
        if run.run_id not in needed.runs:
            yield Item("run", run.model, run.run_id, run.at, reasons.get(run.job, "nothing needs it"), (run.run_id,))


def _snapshots(there: Inventory, needed: Needed) -> Iterator[Item]:
    for snapshot in there.snapshots:
        if snapshot.digest not in needed.snapshots and snapshot.model not in needed.unsure:
            why = "no version or run that stays was made of it"
            yield Item("snapshot", snapshot.model, snapshot.digest, snapshot.at, why, (snapshot.digest,))


def _parts(there: Inventory, needed: Needed, now: float) -> Iterator[Item]:
    """One item a model: parts are many."""
    named = {
        (snapshot.model, part)
        for snapshot in there.snapshots
        if snapshot.digest in needed.snapshots
        for part in snapshot.parts
    }
    free: dict[str, list[PartRecord]] = {}
    for part in there.parts:
        if (part.model, part.sha256) not in named and part.model not in needed.unsure and now - part.at >= DAY:
            free.setdefault(part.model, []).append(part)
    for model, parts in free.items():
        oldest, names = min(part.at for part in parts), tuple(part.sha256 for part in parts)
        yield Item("parts", model, f"{len(parts)} files", oldest, "no snapshot that stays names them", names)


def _trainings(there: Inventory, needed: Needed) -> Iterator[Item]:
    for training in there.trainings:
        if f"{training.model}/{training.name}" not in needed.trainings:
            why = "was interrupted, and never went on"
            yield Item("training", training.model, training.name, training.at, why, (training.name,))


def _left(there: Inventory, now: float) -> Iterator[Item]:
    for left in there.left:
        if not left.owned and (left.condemned or now - left.at >= DAY):
            name = left.path.rpartition("/")[2]
            yield Item("left-over", left.model, name, left.at, "a process that was killed left it", (left.path,))
