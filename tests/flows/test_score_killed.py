"""Scoring that ends while it acts upon its rows, as the flow goes on with it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flows import score as module
from flows.redeliver import redeliver
from flows.score import score
from models.actions import Action
from tasks.actions.deliver import Delivered
from tasks.registry.connection import connect
from tests.conftest import Copy
from tests.small import table

Given = dict[str, Any]


@pytest.fixture
def given(copy: Copy, tmp_path: Path) -> Given:
    """What a command gives to score 50 rows, all of which are acted upon."""
    name = f"acting-{tmp_path.name}"
    action = Action(name="all", when="probability >= 0", to=str(tmp_path / "acted"))
    copy(name, actions=(action,))
    table(50, seed=5).drop(columns="broken").to_parquet(tmp_path / "in.parquet")
    return {"model": f"{name}/1", "input": [str(tmp_path / "in.parquet")], "output": str(tmp_path / "out.parquet")}


def stopped(given: Given, step: str) -> None:
    """The command ends before a step of the flow, as a killed one does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, step, stop)
        score(**given)


def acted(tmp_path: Path) -> list[int]:
    return sorted(pd.read_parquet(tmp_path / "acted")["row"])


def test_a_run_that_was_deleted_in_mlflow_is_delivered_all_the_same(given: Given, home: Path, tmp_path: Path) -> None:
    stopped(given, "act")
    run_id = pd.read_parquet(tmp_path / "out.parquet")["run_id"][0]
    connect().delete_run(run_id)
    done = score(**given)
    assert (done.run_id, done.actions) == (run_id, [Delivered("all", 50, 50, 0)])
    assert acted(tmp_path) == list(range(1, 51))
    assert not (home / "actions" / run_id).exists()


@pytest.mark.parametrize("form", ["out.parquet", "out.db"])
def test_a_repeated_command_tells_all_that_was_delivered(given: Given, home: Path, tmp_path: Path, form: str) -> None:
    given["output"] = f"sqlite:///{tmp_path / form}#out" if form == "out.db" else str(tmp_path / form)
    stopped(given, "record_scores")
    for _ in range(2):
        assert redeliver(given["output"]) == [Delivered("all", 50, 50, 0)]
    done = score(**given)
    assert (done.rows, done.actions) == (50, [Delivered("all", 50, 50, 0)])
    assert connect().get_run(done.run_id).data.metrics["delivered_all"] == 50
    assert acted(tmp_path) == list(range(1, 51))
    assert not (home / "actions" / done.run_id).exists()
