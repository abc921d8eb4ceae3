"""What a name means is followed: another version, and another way of running the same one."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import InputError, OutsideError
from tasks.registry import versions
from tasks.registry.versions import SHA256, Version
from tasks.scoring.execution import EXECUTION, Execution
from tasks.serving import sources
from tasks.serving.batcher import Batcher
from tasks.serving.models import Models
from tasks.serving.sources import Source, find_sources, moved
from tasks.serving.wanted import Wanted, write_wanted
from tests.tasks.serving.versions import write_classifier, write_version

MEASURED = Execution(optimization="basic", batch_rows=7)


class Registry:
    """One model, of which one version has the alias."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.away = folder, False
        self.version = Version("m", "1", "r", "", {}, ())

    def change(self, number: str = "", **tags: str) -> None:
        self.version = replace(self.version, number=number or self.version.number, tags={**self.version.tags, **tags})

    def find(self, *_: str) -> Version:
        if self.away:
            raise OutsideError("MLflow can't be reached")
        return self.version

    @contextmanager
    def downloaded(self, version: Version, name: str = "") -> Iterator[Path]:
        yield self.folder


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    write_version(tmp_path / "version")
    found = Registry(tmp_path / "version")
    for name in ("resolve", "find_version", "holder_of"):
        monkeypatch.setattr(versions, name, found.find)
    monkeypatch.setattr(versions, "downloaded", found.downloaded)
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(sources.time, "monotonic", lambda: now[0])
    return now


def source_of(tmp_path: Path, asked: str = "m@live") -> Source:
    [source] = find_sources([asked], tmp_path / "files")
    return source


@pytest.mark.parametrize("asked", ["m@live", "m/1"])
def test_a_measurement_that_is_kept_is_followed(asked: str, registry: Registry, tmp_path: Path) -> None:
    source = source_of(tmp_path, asked)
    assert moved(source, tmp_path / "files") is None
    registry.change(**{EXECUTION: MEASURED.to_json()})
    found = moved(source, tmp_path / "files")
    assert found is not None and (found.version, found.execution) == ("1", MEASURED.to_json())
    source.wanted = found
    assert moved(source, tmp_path / "files") is None
    registry.version = replace(registry.version, tags={})
    forgotten = moved(source, tmp_path / "files")
    assert forgotten is not None and forgotten.execution == Execution().to_json()


def test_a_tag_that_is_damaged_is_told_once_until_it_changes(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    source = source_of(tmp_path)
    registry.change(**{EXECUTION: "{"})
    for _ in range(5):
        assert moved(source, tmp_path / "files") is None
    assert len(caplog.messages) == 1 and "is damaged; measure it again" in caplog.messages[0]
    registry.change(**{EXECUTION: MEASURED.to_json()})
    assert moved(source, tmp_path / "files") is not None


def test_what_was_refused_is_tried_again_later_and_later(
    registry: Registry, tmp_path: Path, clock: list[float]
) -> None:
    source, tries = source_of(tmp_path), []
    registry.change("2")
    for _ in range(5 * 3600):
        clock[0] += 1
        if moved(source, tmp_path / "files") is not None:
            tries.append(clock[0])
            source.refuse()
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(tries)]
    assert pauses[:6] == [300, 600, 1200, 2400, 3600, 3600]


def test_another_version_or_what_was_mended_is_tried_at_once(
    registry: Registry, tmp_path: Path, clock: list[float]
) -> None:
    source = source_of(tmp_path)
    for change in ({"number": "2"}, {"number": "3"}, {"number": "2"}, {SHA256: "x"}, {EXECUTION: MEASURED.to_json()}):
        registry.change(**change)
        assert moved(source, tmp_path / "files") is not None, change
        source.refuse()
        assert moved(source, tmp_path / "files") is None, change


def test_a_registry_that_is_away_changes_nothing(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(tmp_path, "m/1")
    registry.away = True
    assert [moved(source, tmp_path / "files") for _ in range(3)] == [None] * 3
    assert len(caplog.messages) == 1 and "goes on with version 1" in caplog.messages[0]


def test_a_name_that_means_nothing_any_more_is_told_once_in_a_while(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture, clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source = source_of(tmp_path)

    def gone(*_: str) -> Version:
        raise InputError("m: no such model")

    monkeypatch.setattr(versions, "holder_of", gone)
    for _ in range(8 * sources.REFUSED_SECONDS):
        clock[0] += 0.5
        assert moved(source, tmp_path / "files") is None
    assert len(caplog.messages) == 2 and all("no such model" in line for line in caplog.messages)


def test_a_graph_that_is_not_the_registered_one_is_not_taken(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    path = tmp_path / "wanted.json"
    write_wanted(path, {"m": Wanted("1", str(tmp_path / "version"), "0" * 64)})
    models = Models(path, lambda: Batcher(10), lambda name, version: None)
    with pytest.raises(InputError, match=r"model\.onnx"):
        models.take()
    assert not models.live


def test_a_process_takes_the_same_version_run_otherwise(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    path, untaken = tmp_path / "wanted.json", list[str]()
    models = Models(path, lambda: Batcher(10), lambda name, version: untaken.append(version))
    plain = Wanted("1", str(tmp_path / "version"), None)
    write_wanted(path, {"m": plain})
    models.take()
    first = models.find("m").served
    write_wanted(path, {"m": plain})
    models.take()
    assert models.find("m").served is first
    write_wanted(path, {"m": replace(plain, execution=MEASURED.to_json())})
    assert models.changed()
    models.take()
    assert models.find("m").served.graph.execution == MEASURED
    write_wanted(path, {"m": replace(plain, execution=Execution(provider="NoSuchProvider").to_json())})
    models.take()
    assert models.find("m").served.graph.execution == MEASURED and untaken == ["1"]


def test_a_name_that_no_address_leads_to_is_not_served(tmp_path: Path) -> None:
    write_classifier(tmp_path / "version", name="a/b")
    with pytest.raises(InputError, match="no address leads to a model that is called 'a/b'"):
        find_sources([str(tmp_path / "version")], tmp_path / "files")
