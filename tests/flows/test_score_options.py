"""No option of `perennial score` and no field of the form is without effect."""

import inspect
from contextlib import nullcontext
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import score as module
from flows import score_command
from flows.cli import app
from flows.score import score

GIVEN: dict[str, Any] = {
    "keep": ["id"],
    "overwrite": True,
    "promote": True,
    "why": True,
    "query": "SELECT 1",
    "key": "id",
    "version_column": "changed",
    "also": "m@challenger",
    "max_rejects": 0.5,
    "shard_rows": 7,
    "since": "2024-01-01",
    "until": "2025-01-01",
    "time": "at",
    "partition": ["year=2024"],
    "new_since": "/before",
    "engine": "ray",
    "address": "host:1",
    "batch_rows": 3,
    "threads": 2,
    "monitor": True,
}
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray, an optional extra, is not installed")
PARAMETERS = inspect.signature(score.fn).parameters


class StoppedError(Exception):
    """Enough is known."""


def test_all_are_given_here_and_differ_from_the_defaults() -> None:
    assert {"model", "input", "output", *GIVEN} == set(PARAMETERS)
    assert all(GIVEN[name] != PARAMETERS[name].default for name in GIVEN)


def test_each_field_of_the_form_reaches_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(module, "score_request", lambda *given: seen.extend(given))
    monkeypatch.setattr(module, "promote_waiting", seen.append)
    score.fn("m", ["in.csv"], "out", **GIVEN)
    promoted, inputs, request, wanted, overwrite, engine = seen
    assert (promoted, inputs, wanted.output, overwrite) == ("m", ["in.csv"], Path("out"), True)
    assert (engine.name, engine.address) == ("ray", "host:1")
    expected = {**GIVEN, "keep": ("id",), "partitions": ("year=2024",)}
    assert asdict(request.options) == {name: expected[name] for name in asdict(request.options)}


def test_each_option_of_the_command_reaches_the_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def stopped(*given: Any, **more: Any) -> None:
        seen.update(inspect.signature(score.fn).bind(*given, **more).arguments)
        raise StoppedError

    monkeypatch.setattr(module, "score", stopped)
    monkeypatch.setattr(score_command, "prefect_ready", nullcontext)
    monkeypatch.setattr(score_command, "require_files", lambda *_: None)
    words = ["score", "m", "--input", "/in.csv", "--output", "/out"]
    for name, value in GIVEN.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value[0] if isinstance(value, list) else value)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, StoppedError), done.output
    assert seen == {**GIVEN, "model": "m", "input": ["/in.csv"], "output": "/out"}
