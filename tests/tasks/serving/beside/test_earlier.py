"""Counts of endpoints go on when a server is started anew."""

import errno
import logging
from collections import Counter
from pathlib import Path

import pytest

from tasks.scoring.rows import Finding
from tasks.serving.beside import earlier
from tasks.serving.beside.counts import MOST_REASONS, OTHER
from tasks.serving.beside.earlier import endpoints_folder, sum_up
from tasks.serving.beside.endpoints import Endpoints
from tasks.serving.beside.shared import read_states
from tasks.serving.beside.telling import Telling
from tasks.serving.served import Served
from tests.tasks.serving.beside.answers import NOON, learn, load
from tests.tasks.serving.beside.test_endpoints import as_process, refused, sent, told_of
from tests.tasks.serving.beside.test_log import some_rows
from tests.tasks.serving.versions import write_version


@pytest.fixture
def served(tmp_path: Path) -> Served:
    write_version(tmp_path / "version")
    served = load(tmp_path / "version")
    learn(served, some_rows(500))
    return served


def test_counts_go_on_and_distributions_begin_anew(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, totals = tmp_path / "kept", []
    late = Finding("load", "out of range", 2)
    for start in range(3):
        with endpoints_folder(kept, tmp_path / "scratch") as folder:
            assert folder == kept and len(list(folder.glob("*.npz"))) == (start > 0)
            for process in (1, 2):
                endpoints = Endpoints(folder)
                endpoints.take([sent(served, "a", some_rows(3), NOON + start), refused(served, "a", 5, late)])
                endpoints.take([sent(served, f"of {process}", some_rows(2), NOON)])
                as_process(10 * start + process, endpoints, monkeypatch)
            told = told_of(Telling(folder).of(served))
            totals.append(
                [(told[name]["requests"], told[name]["rows"], told[name]["rejected"]) for name in sorted(told)]
            )
            assert told["a"]["drift"]["rows"] == 8 and told["a"]["last"].startswith(f"2027-01-15T08:00:0{start}")
            assert told["a"]["reasons"] == {"out of range": 2 * (start + 1)}
    assert totals == [[(4 * n, 6 * n, 2 * n), (n, 2 * n, 0), (n, 2 * n, 0)] for n in (1, 2, 3)]


def test_no_more_is_kept_than_a_process_keeps(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for process in (1, 2):
        endpoints = Endpoints(tmp_path)
        endpoints.take([sent(served, f"{process}-{n}", some_rows(1), NOON - n - 1) for n in range(600)])
        endpoints.take([refused(served, "noisy", 1, Finding("c", f"{process} {n}", 1)) for n in range(15)])
        as_process(process, endpoints, monkeypatch)
    sum_up(tmp_path)
    [state] = read_states(tmp_path, "m")
    assert len(state.endpoints) == 1000 and state.let_go == 201
    reasons = Counter(state.reasons[state.endpoints.index("noisy")])
    assert len(reasons) == MOST_REASONS + 1 and reasons[OTHER] == 10 and reasons.total() == 30


def test_a_second_server_on_the_address_counts_for_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        endpoints_folder(tmp_path / "kept", tmp_path / "1") as first,
        endpoints_folder(tmp_path / "kept", tmp_path / "2") as second,
    ):
        assert (first, second) == (tmp_path / "kept", tmp_path / "2")
    assert "another server keeps its counts" in caplog.messages[0]
    (tmp_path / "file").write_text("no folder")
    with endpoints_folder(tmp_path / "file", tmp_path / "3") as third:
        assert third == tmp_path / "3"
    with endpoints_folder(None, tmp_path / "4") as fourth:
        assert fourth == tmp_path / "4"


def test_counts_that_can_not_be_read_now_stay(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = Endpoints(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    endpoints.take([sent(served, "a", some_rows(3))])
    endpoints.tick()
    before = sorted((tmp_path / "kept").iterdir())
    (tmp_path / "kept" / "7-m.new").write_bytes(b"begun")

    def refuse(path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(earlier, "read_state", refuse)
        with endpoints_folder(tmp_path / "kept", tmp_path / "scratch") as folder:
            assert folder == tmp_path / "scratch"
    assert "can't be kept: Too many open files" in caplog.messages[0]
    assert [path for path in sorted((tmp_path / "kept").iterdir()) if path.suffix == ".npz"] == before
    with endpoints_folder(tmp_path / "kept", tmp_path / "scratch"):
        assert told_of(Telling(tmp_path / "kept").of(served))["a"]["rows"] == 3
        assert not list((tmp_path / "kept").glob("*.new"))


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 500], ids=["empty", "cut off", "other bytes"])
def test_damaged_counts_are_told_and_harm_no_others(
    content: bytes, served: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = Endpoints(tmp_path)
    endpoints.take([sent(served, "a", some_rows(3))])
    endpoints.tick()
    (tmp_path / "7-m.npz").write_bytes(content)
    with caplog.at_level(logging.ERROR):
        sum_up(tmp_path)
    assert told_of(Telling(tmp_path).of(served))["a"]["rows"] == 3
    [line] = caplog.messages
    assert "7-m.npz: damaged" in line
