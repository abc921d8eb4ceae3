"""The log of requests: whole files that `monitor` reads as it is."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.columns import KINDS
from models.contract import write_contract
from models.errors import InputError
from models.profile import Rate
from models.sections import Monitor
from tasks.monitoring.counting import Counting
from tasks.monitoring.drift import compare
from tasks.monitoring.window import Window, find_sources, profile_window
from tasks.scoring.request import Options
from tasks.serving.beside.block import Block
from tasks.serving.beside.log import RequestLog, log_table
from tasks.serving.beside.names import folder_name
from tasks.serving.beside.withheld import check_logging, withheld
from tasks.serving.served import Served
from tasks.serving.worker_settings import Logging
from tests.tasks.serving.beside.answers import NOON, answer, learn, load, parsed
from tests.tasks.serving.versions import COLUMNS, write_classifier, write_version


def some_rows(count: int, shift: float = 0.0, seed: int = 0) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    loads = (random.normal(0, 5, count) + shift).clip(-50, 50).tolist()
    shops = random.choice(["north", "south", "17"], count).tolist()
    return [
        {"load": None if place % 20 == 0 else load, "shop": 17 if shop == "17" and place % 2 else shop}
        for place, (load, shop) in enumerate(zip(loads, shops, strict=True))
    ]


def write_log(folder: Path, served: Served, rows: Sequence[dict[str, Any]], **how: Any) -> None:
    """Requests of one, two, three, ... rows, in two files."""
    log, start, size = RequestLog(Logging(str(folder), **how)), 0, 1
    while start < len(rows):
        log.take(Block(served, [answer(served, rows[start : start + size], f"r{start}", "plant 1")]))
        start, size = start + size, size + 1
        if start == 1:
            log.close()
    log.close()


def monitored(served: Served, folder: Path) -> Window:
    """What `perennial monitor` finds in the folder."""
    from models.profile import read_profile

    stored = read_profile(served.folder)
    assert stored is not None
    sources = find_sources([str(folder)], Options(), (), False)
    return profile_window(served.graph, {}, stored, sources, Options())


def test_monitor_reads_a_log_as_it_is(tmp_path: Path) -> None:
    write_version(tmp_path / "version", factor=2.0)
    served = load(tmp_path / "version")
    stored = learn(served, some_rows(2000))
    rows = some_rows(301, seed=1)
    write_log(tmp_path / "log", served, rows)
    window = monitored(served, tmp_path / "log" / "by-hand")
    counting = Counting(served.contract, stored, {})
    counting.add(parsed(served, rows), served.graph.run(served.reader.read_rows(rows)))
    expected = counting.profile(Rate(count=0, rows=301))
    # Files are read in no order, so the last digit of a mean may differ.
    assert [f.cells for f in _facets(window.profile)] == [f.cells for f in _facets(expected)]
    assert (window.rows, window.rejected, window.measured) == (301, 0, None)
    assert not compare(stored, window.profile, Monitor()).drifted
    write_log(tmp_path / "later", served, some_rows(301, shift=6, seed=2))
    drifted = compare(stored, monitored(served, tmp_path / "later" / "by-hand").profile, Monitor()).drifted
    assert {change.name for change in drifted} == {"load", "predictions"}


def test_monitor_reads_logged_windows_of_series(tmp_path: Path) -> None:
    columns = {"load": KINDS["number"].settings(), "wave": KINDS["series"].settings(window=4)}
    write_version(tmp_path / "version", columns)
    served = load(tmp_path / "version")

    def waves(shift: float, seed: int) -> list[dict[str, Any]]:
        random = np.random.default_rng(seed)
        found = [{"load": 1.0, "wave": (random.normal(size=4) + shift).tolist()} for _ in range(400)]
        return [{"load": 1.0, "wave": None}, {"load": 2.0, "wave": [1, None, 2.5, 3]}, *found]

    stored = learn(served, waves(0, 0))
    rows = waves(0, 1)
    write_log(tmp_path / "log", served, rows)
    window = monitored(served, tmp_path / "log" / "by-hand")
    counting = Counting(served.contract, stored, {})
    counting.add(parsed(served, rows), served.graph.run(served.reader.read_rows(rows)))
    expected = counting.profile(Rate(count=0, rows=len(rows)))
    assert (window.rows, window.rejected, window.reasons) == (len(rows), 0, {})
    assert [f.cells for f in _facets(window.profile)] == [f.cells for f in _facets(expected)]
    write_log(tmp_path / "later", served, waves(3, 2))
    later = monitored(served, tmp_path / "later" / "by-hand").profile
    assert "wave" in {change.name for change in compare(stored, later, Monitor()).drifted}


def _facets(profile: Any) -> list[Any]:
    sides = [*profile.columns.values(), profile.predictions]
    return [facet for side in sides for name, facet in side.facets.items() if hasattr(facet, "cells")]


def test_a_row_of_the_log_tells_request_endpoint_version_and_time(tmp_path: Path) -> None:
    write_classifier(tmp_path / "version")
    served = load(tmp_path / "version", version="7")
    log = RequestLog(Logging(str(tmp_path / "log")))
    two = answer(served, [{"load": 1.0, "more": "x"}, {"load": None}], "first", "gate", NOON + 0.25)
    log.take(Block(served, [two, answer(served, [{"load": "-3"}], "second")]))
    log.close()
    (file,) = (tmp_path / "log" / "sorted").iterdir()
    found = pd.read_parquet(file)
    assert list(found) == [
        "load", "label", "probability", "probability_low", "probability_high", "model", "model_version", "request_id",
        "row", "endpoint", "time",
    ]  # fmt: skip
    assert found["load"].fillna(0).tolist() == [1.0, 0.0, -3.0]
    assert found["label"].tolist() == ["high", "low", "low"]
    assert found["probability_high"].tolist() == [0.75, 0.25, 0.25]
    assert found["request_id"].tolist() == ["first", "first", "second"]
    assert found["row"].tolist() == [1, 2, 1]
    assert found["endpoint"].astype(object).where(found["endpoint"].notna(), None).tolist() == ["gate", "gate", None]
    assert set(found["model_version"]) == {"7"}
    assert found["time"].tolist()[1:] == [pd.Timestamp("2027-01-15 08:00:00.25Z"), pd.Timestamp("2027-01-15 08:00Z")]


def test_a_prediction_is_not_taken_for_the_truth(tmp_path: Path) -> None:
    contract = write_version(tmp_path / "version").model_copy(update={"target": "value"})
    write_contract(contract, tmp_path / "version")
    served = load(tmp_path / "version")
    learn(served, some_rows(100))
    write_log(tmp_path / "log", served, some_rows(100))
    assert monitored(served, tmp_path / "log").measured is None


def test_values_that_must_not_be_shown_and_files_are_logged_only_where_it_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {
        "load": KINDS["number"].settings(sensitive=True),
        "shop": KINDS["category"].settings(sensitive=True),
        "face": KINDS["image"].settings(size=8),
    }
    contract = write_version(tmp_path / "version", columns)
    served = load(tmp_path / "version")
    rows = [{"load": 3.0, "shop": "north", "face": None}]
    for name, keep in (("none", ()), ("all", ("load", "face"))):
        log = RequestLog(Logging(str(tmp_path / name), keep=keep))
        log.take(Block(served, [answer(served, rows)]))
        log.close()
    none, some = (pd.read_parquet(tmp_path / name / "by-hand") for name in ("none", "all"))
    assert none[["load", "shop", "face"]].isna().all(axis=None)
    assert (some["load"].tolist(), some["shop"].isna().all()) == ([3.0], True)
    assert withheld(contract, ["load"]) == ["shop", "face"]
    with caplog.at_level(logging.INFO):
        check_logging([contract], Logging("log", keep=("load", "face")))
    assert "the log has null for 'shop'" in caplog.messages[0]
    with pytest.raises(InputError, match="--log-keep lod: no such column"):
        check_logging([contract], Logging("log", keep=("lod",)))


def test_the_same_requests_are_chosen_by_every_process() -> None:
    ids = [f"order-{number}" for number in range(20_000)]
    first, second = (RequestLog(Logging("log", share=0.1)) for _ in range(2))
    chosen = {each for each in ids if first.chosen(each)}
    assert chosen == {each for each in ids if second.chosen(each)}
    assert 1850 < len(chosen) < 2150
    assert chosen <= {each for each in ids if RequestLog(Logging("log", share=0.2)).chosen(each)}
    assert all(RequestLog(Logging("log")).chosen(each) for each in ids[:10])


def test_a_disk_that_refuses_is_told_once_and_what_waits_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version(tmp_path / "version")
    served, place = load(tmp_path / "version"), tmp_path / "log"
    place.write_text("no folder")
    log = RequestLog(Logging(str(place), seconds=0))
    monkeypatch.setattr("tasks.serving.beside.log.AGAIN_SECONDS", 0)
    with caplog.at_level(logging.INFO):
        for number in range(3):
            log.take(Block(served, [answer(served, some_rows(2), str(number))]))
            log.tick()
        place.unlink()
        log.tick()
    assert len(caplog.messages) == 2
    assert "answers go on" in caplog.messages[0]
    assert len(pd.read_parquet(place / "by-hand")) == 6


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    served, seen, over = load(tmp_path / "version"), [0], threading.Event()

    def look() -> None:
        while not over.is_set():
            files = list((tmp_path / "log").rglob("[!.]*.parquet"))
            seen[0] += sum(len(pd.read_parquet(file)) == 5000 for file in files)
            assert all(len(pd.read_parquet(file)) == 5000 for file in files)

    looking = threading.Thread(target=look)
    looking.start()
    log = RequestLog(Logging(str(tmp_path / "log"), seconds=0))
    for number in range(5):
        log.take(Block(served, [answer(served, some_rows(5000), str(number))]))
        log.tick()
    over.set()
    looking.join()
    assert len(list((tmp_path / "log" / "by-hand").iterdir())) == 5


@pytest.mark.parametrize("name", ["plain", "../up", "..", "_hidden", ".hidden", "a=b", "a/b", "é" * 200, "x" * 300])
def test_a_folder_can_be_named_for_any_model(name: str, tmp_path: Path) -> None:
    folder = tmp_path / folder_name(name)
    folder.mkdir()
    assert folder.parent == tmp_path
    assert not folder.name.startswith((".", "_"))
    assert "=" not in folder.name
    assert folder_name(name) != folder_name(f"{name}2")


def test_cells_of_several_types_are_read_as_each_is_by_itself(tmp_path: Path) -> None:
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    shops = [True, "true", 17, 17.0, "17", None, 2.5, "x", float("nan"), 10**20]
    together = parsed(served, [{"load": 0.0, "shop": shop} for shop in shops])["shop"].to_pylist()
    alone = [parsed(served, [{"load": 0.0, "shop": shop}])["shop"].to_pylist()[0] for shop in shops]
    assert together == alone
    assert COLUMNS["shop"].kind == "category"


def test_only_so_much_waits_for_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version(tmp_path / "version")
    served, place = load(tmp_path / "version"), tmp_path / "log"
    place.write_text("no folder")
    block = Block(served, [answer(served, some_rows(100))])
    monkeypatch.setattr("tasks.serving.beside.log.MOST_BYTES", 3 * log_table(block, frozenset()).nbytes)
    monkeypatch.setattr("tasks.serving.beside.log.AGAIN_SECONDS", 0)
    log = RequestLog(Logging(str(place), seconds=0))
    for number in range(5):
        log.take(Block(served, [answer(served, some_rows(100), str(number))]))
        log.tick()
    place.unlink()
    log.close()
    assert sorted(pd.read_parquet(place / "by-hand")["request_id"].unique()) == ["2", "3", "4"]
