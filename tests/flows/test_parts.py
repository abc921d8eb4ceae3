"""Processes that are started, watched and ended together, with small programs of Python in place of servers."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import parts
from flows.health import answers
from flows.logs import LARGEST_LOG, Followed, open_log
from flows.parts import Parts
from flows.ports import listener_on, port_of
from models.errors import OutsideError


class Screen(list[str]):
    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def together(screen: Screen, tmp_path: Path) -> Iterator[Parts]:
    found = Parts(tmp_path, screen.append, screen.asked)
    yield found
    found.end()


def serve_files(together: Parts) -> str:
    """The address of a server that is starting."""
    with listener_on(None, 18000, "") as listener:
        port = port_of(listener)
    together.start("mlflow", ["http.server", str(port), "--bind", "127.0.0.1"], {})
    return f"http://127.0.0.1:{port}"


def test_a_server_is_waited_for_followed_and_ended(together: Parts, screen: Screen, tmp_path: Path) -> None:
    address = serve_files(together)
    assert together.wait_for({"mlflow": lambda: answers(f"{address}/")})
    threading.Timer(0.3, screen.asked.set).start()
    together.follow()
    together.end()
    assert not answers(f"{address}/")
    assert any(line.startswith("mlflow  | Serving HTTP on 127.0.0.1") for line in screen)
    assert "Serving HTTP" in (tmp_path / "logs" / "mlflow.log").read_text()


def test_one_that_ends_by_itself_is_named(together: Parts, screen: Screen, tmp_path: Path) -> None:
    together.start("worker", ["platform"], {})
    said = rf"^the worker ended by itself \(exit code 0\), so all are stopped; see {tmp_path}/logs/worker\.log$"
    with pytest.raises(OutsideError, match=said):
        together.follow()
    assert screen[0].startswith("worker  | Linux")


def test_one_that_was_killed_is_named_with_the_signal(together: Parts) -> None:
    address = serve_files(together)
    assert together.wait_for({"mlflow": lambda: answers(f"{address}/")})
    together._parts[0].process.kill()
    with pytest.raises(OutsideError, match=r"the MLflow server ended by itself \(signal 9\)"):
        together.follow()


def test_nothing_is_waited_for_once_all_have_to_end(together: Parts, screen: Screen) -> None:
    screen.asked.set()
    assert not together.wait_for({"mlflow": lambda: False})


def test_one_that_is_never_ready_is_named(together: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 0)
    with pytest.raises(OutsideError, match="the Prefect server: not ready after 0 s"):
        together.wait_for({"prefect": lambda: False})


def test_a_log_is_read_in_whole_lines_from_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    with open_log(path) as log:
        log.write(b"earlier\n")
    with open_log(path) as log:
        followed = Followed(path)
        assert followed.new_lines() == []
        for written, lines in ((b"one\ntw", ["one"]), (b"o\n\xff\n", ["two", "\ufffd"]), (b"", [])):
            log.write(written)
            log.flush()
            assert followed.new_lines() == lines
        followed.close()
    path.write_bytes(b"x" * (LARGEST_LOG + 1))
    with open_log(path):
        assert path.stat().st_size == 0
