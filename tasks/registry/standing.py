"""Whether a version may stand: nothing has changed, too little to train again, or somebody has to approve it first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.modelfile import ModelFile
from tasks.data.growth import count_new_rows
from tasks.data.snapshot import Ingested, open_snapshot, snapshot_folder
from tasks.registry.approval import awaits_approval
from tasks.registry.record import Origin, find_same_recipe, find_unchanged
from tasks.registry.versions import SNAPSHOT, Version, list_versions


@dataclass(frozen=True)
class Standing:
    """A version in whose place no other is to be trained, and why."""

    version: Version
    outcome: Literal["unchanged", "skipped"]
    why: str

    @property
    def reasons(self) -> list[str]:
        """What is told besides the outcome."""
        waits = [_waits(self.version)] if awaits_approval(self.version) else []
        return list(dict.fromkeys([*([self.why] if self.outcome == "skipped" else []), *waits]))


def find_standing(model_file: ModelFile, data: Ingested, origin: Origin, home: Path) -> Standing | None:
    """The newest version, unless its model file or code has changed, or as many new rows came as are asked for.

    Where the model file asks for approval, a version that waits for it stands whatever has changed, since each training
    meanwhile would ask again. New are the rows that `count_new_rows` counts since the snapshot of the newest version;
    where that snapshot is gone, all.
    """
    same = find_unchanged(model_file.name, origin)
    if same:
        return Standing(same, "unchanged", f"version {same.number} was made from the same data, model file and code")
    waiting = next(filter(awaits_approval, list_versions(model_file.name)), None)
    if waiting and model_file.promotion.approval:
        return Standing(waiting, "skipped", _waits(waiting))
    newest, fewest = find_same_recipe(model_file.name, origin), model_file.schedule.min_new_rows
    if newest is None or not fewest:
        return None
    earlier = snapshot_folder(home, model_file.name) / f"{newest.tags.get(SNAPSHOT)}.json"
    if not earlier.exists():
        return None
    new = count_new_rows(open_snapshot(data.manifest), open_snapshot(earlier))
    why = f"{new:,} new rows since version {newest.number}, fewer than schedule.min_new_rows = {fewest:,}"
    return Standing(newest, "skipped", why) if new < fewest else None


def _waits(version: Version) -> str:
    return f"version {version.number} waits for approval"
