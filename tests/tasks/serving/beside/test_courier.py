"""When the process that delivers is started, and what keeps a version from being served."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from models.actions import Action
from models.errors import InputError
from tasks.serving.beside import courier
from tasks.serving.beside.courier import Courier
from tests.contracts import contract_of

ACTION = Action(name="call", when='label == "high"', to="https://here/x", token_env="SERVING_TOKEN")
CONTRACT = contract_of({}, "binary", classes=("low", "high"), name="a/b", actions=(ACTION,))


class Started:
    """Stands for the process."""

    def __init__(self, command: list[str]) -> None:
        self.orders: dict[str, Any] = json.loads(command[-1])
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    found: list[Started] = []

    def begin(command: list[str]) -> Started:
        found.append(Started(command))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", begin)
    monkeypatch.setattr(courier, "AGAIN_SECONDS", 0)
    return found


def test_a_version_whose_token_is_missing_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVING_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"actions\.call\.token_env: .* SERVING_TOKEN holds no token"):
        Courier(tmp_path).begin([CONTRACT, CONTRACT])
    assert "SERVING_TOKEN" in Courier(tmp_path).refusal_of(CONTRACT)
    monkeypatch.setenv("SERVING_TOKEN", "secret")
    assert Courier(tmp_path).refusal_of(CONTRACT) == ""


def test_a_version_whose_conditions_mean_nothing_is_not_served(tmp_path: Path) -> None:
    odd = ACTION.model_copy(update={"when": 'label == "middle"', "token_env": None})
    assert "middle" in Courier(tmp_path).refusal_of(CONTRACT.model_copy(update={"actions": (odd,)}))


def test_without_actions_nothing_is_asked_for_and_nothing_started(started: list[Started], tmp_path: Path) -> None:
    none = Courier(None)
    none.begin([CONTRACT])
    none.look()
    none.end()
    assert started == []


def test_the_process_is_started_where_there_is_something_to_deliver(
    started: list[Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVING_TOKEN", "secret")
    (tmp_path / "another model").mkdir()
    sending = Courier(tmp_path, again=True)
    sending.begin([CONTRACT])
    assert started == []
    (tmp_path / "a%2Fb").mkdir()
    sending.look()
    sending.look()
    (process,) = started
    assert process.orders == {
        "folder": str(tmp_path), "parent": os.getpid(), "models": {"a%2Fb": "serve-a%2Fb"}, "again": True,
    }  # fmt: skip
    process.returncode = -9
    sending.look()
    assert [each.orders["again"] for each in started] == [True, False]
