"""What Prefect is told of a decision, whatever else is decided meanwhile and however long sending takes."""

import time
from threading import Event as Signal
from types import SimpleNamespace
from typing import Any

import pytest

from flows.told import tell_decision
from tasks.registry import steps
from tasks.registry.history import new_event


def test_the_decision_itself_is_told_and_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    never = SimpleNamespace(wait_until_empty=Signal().wait)
    monkeypatch.setattr(steps, "emit_event", lambda **words: told.append(words))
    monkeypatch.setattr(steps, "EventsWorker", SimpleNamespace(instance=lambda: never))
    monkeypatch.setattr(steps, "PATIENCE_SECONDS", 0.05)
    started = time.monotonic()
    tell_decision("plant", new_event("awaits approval", "3", "2", "by hand", ["100 rows"], "run", "Ada"))
    assert 0.05 <= time.monotonic() - started < 5
    (event,) = told
    assert (event["event"], event["resource"]["prefect.resource.id"]) == (
        "perennial.model.awaits-approval", "perennial.model.plant",
    )  # fmt: skip
    payload = event["payload"]
    assert (payload["version"], payload["previous_champion"], payload["who"]) == ("3", "2", "Ada")
    assert (payload["reasons"], payload["run_id"], payload["metrics"]) == (["100 rows"], "run", {})
