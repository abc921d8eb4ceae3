"""What is removed, from MLflow and from the state folder, and what is left when something stands in the way."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from models.errors import InputError, OutsideError, RefusedError
from tasks.aside import in_use
from tasks.data.snapshot import LOCK, open_snapshot
from tasks.registry.connection import connect
from tasks.registry.history import read_history
from tasks.registry.promotion import MOVING
from tasks.registry.removal import remove_version
from tasks.registry.retained import Recorded
from tasks.registry.runs import end_run
from tasks.registry.versions import download, find_version, list_versions
from tasks.retention import collect
from tasks.retention.collect import Collected, find_forgotten, let_go
from tasks.retention.files import Folders, left_in
from tasks.retention.records import DAY, Rule
from tests.conftest import Copy


def unlocked(_: str) -> AbstractContextManager[None]:
    return nullcontext()


def registered(copy: Copy, name: str, count: int) -> list[str]:
    """Run ids of so many versions, of which the newest is challenger, all with one snapshot."""
    for _ in range(count):
        copy(name)
    ids = [version.run_id for version in reversed(list_versions(name))]
    for run_id in ids:
        end_run(run_id, "FINISHED")
    return ids


def aged(*paths: Path, days: float = 2) -> None:
    for path in paths:
        os.utime(path, (time.time() - days * DAY,) * 2)


def strict(name: str) -> Rule:
    return Rule(0, 0, frozenset({name}))


def kinds(found: Collected) -> list[tuple[str, str]]:
    return [(item.kind, item.name) for item in found.items]


def test_versions_without_an_alias_go_with_all_that_is_theirs(copy: Copy, home: Path) -> None:
    name = "gc-versions"
    first, second, third = registered(copy, name, 3)
    connect().set_registered_model_alias(name, "champion", "2")
    place = home / "artifacts" / name
    lost = list_versions(name)[-1].model_id or ""
    preview = find_forgotten(strict(name), home)
    assert kinds(preview) == [("version", "1"), ("run", first)]
    assert preview.items[0].bytes == sum(f.stat().st_size for f in (place / "models" / lost).rglob("*") if f.is_file())
    assert len(list_versions(name)) == 3
    done = let_go(strict(name), home, unlocked)
    assert (kinds(done), done.problems) == (kinds(preview), ())
    assert [version.number for version in list_versions(name)] == ["3", "2"]
    assert not (place / "models" / lost).exists()
    assert {
        run.info.run_id for run in connect().search_runs([connect().get_experiment_by_name(name).experiment_id])
    } == {
        second,
        third,
    }
    assert [(event.event, event.version, event.why) for event in read_history(name)] == [("removed", "1", "gc")]
    assert download(find_version(name, "2"), home / "gc-look").exists()
    assert kinds(let_go(strict(name), home, unlocked)) == []


def test_a_version_that_a_killed_promotion_was_about_to_make_champion_stays(copy: Copy, home: Path) -> None:
    name = "gc-moving"
    registered(copy, name, 2)
    connect().set_registered_model_tag(name, MOVING, '{"champion": "1", "previous": null, "rolled_back": null}')
    assert kinds(find_forgotten(strict(name), home)) == []


def test_a_version_that_has_an_alias_by_now_is_not_removed(copy: Copy) -> None:
    registered(copy, "gc-late", 1)
    with pytest.raises(RefusedError, match="version 1 is challenger now, and stays"):
        remove_version(Recorded(), "gc-late", "1", "old")
    assert list_versions("gc-late")


def test_a_snapshot_goes_and_shared_parts_stay(copy: Copy, home: Path) -> None:
    name = "gc-snapshots"
    registered(copy, name, 1)
    folder = home / "snapshots" / name
    (needed,) = folder.glob("*.json")
    manifest = open_snapshot(needed).manifest
    stranger = manifest.parts[0].model_copy(update={"sha256": "f" * 64})
    forgotten = manifest.model_copy(update={"parts": (manifest.parts[0], stranger)})
    other, part = folder / f"{forgotten.digest}.json", folder / "parts" / f"{'f' * 64}.parquet"
    other.write_text(forgotten.model_dump_json())
    part.write_bytes(b"rows")
    assert kinds(find_forgotten(strict(name), home)) == []
    aged(other, part, needed, *(folder / "parts").iterdir())
    done = let_go(strict(name), home, unlocked)
    assert kinds(done) == [("snapshot", forgotten.digest), ("parts", "1 files")]
    assert not other.exists()
    assert not part.exists()
    assert open_snapshot(needed).table().num_rows == manifest.rows


def test_a_damaged_manifest_is_told_and_no_part_goes(copy: Copy, home: Path) -> None:
    name = "gc-damaged"
    registered(copy, name, 1)
    folder = home / "snapshots" / name
    (folder / "abc.json").write_text("{")
    part = folder / "parts" / f"{'e' * 64}.parquet"
    part.write_bytes(b"rows")
    aged(part)
    done = let_go(strict(name), home, unlocked)
    assert kinds(done) == []
    assert len(done.problems) == 1
    assert "damaged manifest" in done.problems[0]
    assert part.exists()


@pytest.mark.parametrize("what", ["ingestion", "promotion"])
def test_nothing_of_a_model_goes_while_it_is_ingested_or_promoted(copy: Copy, home: Path, what: str) -> None:
    name = f"gc-busy-{what}"
    registered(copy, name, 2)

    @contextmanager
    def taken(_: str) -> Iterator[None]:
        raise RefusedError("a promotion is under way")
        yield

    if what == "ingestion":
        with in_use(home / "snapshots" / name / LOCK):
            done = let_go(strict(name), home, unlocked)
    else:
        done = let_go(strict(name), home, taken)
    assert kinds(done) == []
    assert len(done.problems) == 1
    assert what[:6] in done.problems[0]
    assert len(list_versions(name)) == 2


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "gc-stuck"
    registered(copy, name, 3)
    real = collect.remove_version

    def failing(recorded: Recorded, model: str, number: str, why: str) -> None:
        if number == "1":
            raise OutsideError("the store is read-only")
        real(recorded, model, number, why)

    monkeypatch.setattr(collect, "remove_version", failing)
    done = let_go(strict(name), home, unlocked)
    assert done.problems == ("the store is read-only",)
    assert ("version", "2") in kinds(done)
    assert ("version", "1") not in kinds(done)
    monkeypatch.undo()
    assert kinds(let_go(strict(name), home, unlocked)) == [("version", "1")]


def test_trainings_that_go_on_stay_and_forgotten_ones_go(home: Path) -> None:
    name = "gc-trainings"
    here = home / "training" / name
    for folder in (here / "aaaa", here / "bbbb"):
        folder.mkdir(parents=True)
        (folder / "checkpoint.pt").write_bytes(b"weights")
        aged(folder / "checkpoint.pt", folder)
    with in_use(here / "aaaa.lock"):
        done = let_go(strict(name), home, unlocked)
    assert (kinds(done), done.bytes) == ([("training", "bbbb")], 7)
    assert (here / "aaaa" / "checkpoint.pt").exists()
    assert not (here / "bbbb").exists()
    assert not list(here.glob(".gone*"))


def test_names_of_leftovers_and_their_processes(tmp_path: Path) -> None:
    import socket

    host, folder = socket.gethostname(), tmp_path / "snapshots" / "m"
    folder.mkdir(parents=True)
    mine, dead = os.getpid(), 2**22 + 1
    for name in (
        f".staging.{host}.{mine}.x",
        f".staging.{host}.{dead}.x",
        f".abc.{dead}.json",
        f".gone.{host}.{dead}.x",
    ):
        (folder / name).touch()
    (folder / ".lock").touch()
    found = {Path(left.path).name: (left.owned, left.condemned) for left in left_in(Folders(tmp_path), ["m"])}
    assert found == {
        f".staging.{host}.{mine}.x": (True, False),
        f".staging.{host}.{dead}.x": (False, False),
        f".abc.{dead}.json": (False, False),
        f".gone.{host}.{dead}.x": (False, True),
    }


def test_a_name_that_is_not_there_is_told(copy: Copy, home: Path) -> None:
    registered(copy, "gc-named", 1)
    with pytest.raises(InputError, match="gc-namd: no such model; did you mean 'gc-named'"):
        find_forgotten(strict("gc-namd"), home)
