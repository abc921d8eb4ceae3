"""What other commands learn of the servers of `perennial up`."""

from pathlib import Path

import pytest

from flows import servers
from flows.environment import prepare, settings_in_force
from flows.servers import LOCK, Servers, alone, running_servers, settings_of_up
from models.errors import OutsideError

FIRST = Servers(123, "http://127.0.0.1:4201", "http://127.0.0.1:5001")
LEADING = {"PREFECT_API_URL": "http://127.0.0.1:4201/api", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5001"}


def test_addresses_are_told_once_they_are_there_and_only_while_they_are(tmp_path: Path) -> None:
    assert running_servers(tmp_path) is None
    with alone(tmp_path, Servers(123)) as announce:
        assert running_servers(tmp_path) == Servers(123)
        assert settings_of_up(tmp_path) == {}
        announce(FIRST)
        assert running_servers(tmp_path) == FIRST
        assert settings_of_up(tmp_path) == LEADING
    assert running_servers(tmp_path) is None and settings_of_up(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1, "other": 2}'])
def test_a_text_that_is_half_written_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(servers, "_text", lambda _: text)
    with alone(tmp_path, FIRST):
        assert running_servers(tmp_path) is None


def test_commands_use_them_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    environ, given = (
        {"PERENNIAL_HOME": str(tmp_path)},
        {"PERENNIAL_HOME": str(tmp_path), "PREFECT_API_URL": "http://x/api"},
    )
    with alone(tmp_path, FIRST):
        prepare(environ)
        prepare(given)
        shown = settings_in_force({"PERENNIAL_HOME": str(tmp_path)})
    assert {key: environ[key] for key in LEADING} == LEADING
    assert {key: shown[key] for key in LEADING} == LEADING
    assert given["PREFECT_API_URL"] == "http://x/api"
    after = {"PERENNIAL_HOME": str(tmp_path)}
    prepare(after)
    assert after["MLFLOW_TRACKING_URI"].startswith("sqlite:") and "PREFECT_API_URL" not in after


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (FIRST, r"process 123; Prefect http://127\.0\.0\.1:4201, MLflow http://127\.0\.0\.1:5001"),
        (Servers(123), "process 123; its servers are starting"),
    ],
)
def test_a_second_one_on_the_folder_is_refused_and_told_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Servers, said: str
) -> None:
    monkeypatch.setattr(servers, "PATIENCE_SECONDS", 0.1)
    with alone(tmp_path, first), pytest.raises(OutsideError, match=said), alone(tmp_path, Servers(456)):
        pass
    assert not (tmp_path / LOCK).exists()


def test_a_command_that_looks_at_the_lock_keeps_nobody_out(tmp_path: Path) -> None:
    import fcntl
    import threading

    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with alone(tmp_path, FIRST):
            assert running_servers(tmp_path) == FIRST
