import sqlite3
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from models.errors import InputError, OutsideError, PerennialError, RefusedError
from tasks import policy
from tasks.policy import DELAYS, RETRIES, failed_outside, patiently
from tasks.progress import progress


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (InputError("wrong"), False),
        (RefusedError("no"), False),
        (OutsideError("server"), True),
        (ConnectionError("network"), True),
        (PerennialError("disk"), True),
        (OSError("disk"), True),
        (TimeoutError("slow"), True),
        (httpx.ConnectError("refused"), True),
        (requests.ConnectionError("refused"), True),
        (sqlite3.OperationalError("database is locked"), True),
        (sqlalchemy.exc.OperationalError("select 1", None, Exception("locked")), True),
        (MlflowException("server"), True),
        (KeyError("a bug"), False),
        (ValueError("could not convert string to float"), False),
        (sqlalchemy.exc.CompileError("a bug"), False),
    ],
)
def test_only_what_failed_outside_is_tried_again(error: Exception, again: bool) -> None:
    state: Any = SimpleNamespace(result=lambda raise_on_failure: error)
    assert failed_outside(None, None, state) is again
    assert len(DELAYS) == RETRIES


def test_nothing_is_drawn_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", 3) as advance:
        advance(1, "one")
    assert capsys.readouterr().err == ""


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("working", 3) as advance:
        advance(3, "three of three")
    assert "working" in capsys.readouterr().err


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that only sleep moves on."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(policy.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(policy.time, "sleep", lambda seconds: setattr(made, "now", made.now + seconds))
    return made


def test_an_outage_of_a_minute_is_waited_out(clock: SimpleNamespace) -> None:
    def attempt() -> None:
        if clock.now < 60:
            raise OutsideError("server gone")

    patiently(attempt)
    assert 60 <= clock.now <= 65


def test_patience_ends_with_the_error_itself(clock: SimpleNamespace) -> None:
    def attempt() -> None:
        raise OutsideError("server gone")

    with pytest.raises(OutsideError, match="server gone"):
        patiently(attempt)
    assert 120 <= clock.now <= 126


@pytest.mark.parametrize("error", [InputError("wrong"), ValueError("a mistake of ours")])
def test_only_what_is_outside_is_waited_for(clock: SimpleNamespace, error: Exception) -> None:
    def attempt() -> None:
        raise error

    with pytest.raises(type(error)):
        patiently(attempt)
    assert clock.now == 0
