"""Rows that are acted upon: chosen while scoring, delivered once whatever is killed in between."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from models.actions import Action
from models.contract import GRAPH_FILE
from models.errors import InputError
from tasks.actions.outboxes import Outboxes
from tasks.actions.tabletarget import open_table
from tasks.data import jsonlines
from tasks.scoring import inputs as inputs_module
from tasks.scoring.claim import claimed
from tasks.scoring.destination import destination
from tasks.scoring.inputs import look_at
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request
from tasks.scoring.score import Scores, score_into
from tests.conftest import Small
from tests.tasks.scoring.scored_files import STAMP, new_rows


@pytest.fixture
def acting(small: Small, predictor: Predictor, tmp_path: Path) -> Predictor:
    """The small model, whose sure rows of one class go to a folder, and all others to another."""
    actions = (
        Action(name="sure", when='label == "yes" and probability >= 0.6', to=str(tmp_path / "sure"), columns=("id",)),
        Action(name="rest", when='not (label == "yes" and probability >= 0.6)', to=str(tmp_path / "rest")),
    )
    graph = (small.downloaded / GRAPH_FILE).read_bytes()
    return Predictor(graph, predictor.contract.model_copy(update={"actions": actions}))


@pytest.fixture
def given(tmp_path: Path) -> Path:
    rows = new_rows(200)
    rows.loc[[3, 90], "load"] = 1000
    rows.to_parquet(tmp_path / "in.parquet", row_group_size=80)
    return tmp_path / "in.parquet"


def score(predictor: Predictor, given: Path, tmp_path: Path, **options: Any) -> Scores:
    """As the flow does: scores, delivers, and only then ends its claim."""
    request = Request("small/1", (str(given),), Options(**{"shard_rows": 60, **options}))
    wanted = destination(tmp_path / "out")
    with claimed(wanted, False) as sink:
        sources = look_at(request.inputs, wanted)
        boxes = lambda run: Outboxes(tmp_path / "boxes" / run)  # noqa: E731
        done = score_into(sink, predictor, sources, STAMP, request, outboxes=boxes)
        found = boxes(done.run_id).deliver(done.run_id, open_table)
    boxes(done.run_id).sweep(found)
    return done


def test_each_scored_row_goes_where_its_prediction_says(acting: Predictor, given: Path, tmp_path: Path) -> None:
    done = score(acting, given, tmp_path)
    scored = pd.read_parquet(done.predictions)
    wanted = scored[(scored["label"] == "yes") & (scored["probability"] >= 0.6)]
    sure, rest = (pd.read_parquet(tmp_path / name).sort_values("row") for name in ("sure", "rest"))
    assert 0 < len(wanted) < len(scored) == 198
    assert sure["row"].tolist() == wanted["row"].tolist()
    assert sure["id"].tolist() == wanted["id"].tolist()
    assert sorted([*sure["row"], *rest["row"]]) == scored["row"].tolist()
    assert done.acts and not list((tmp_path / "boxes").iterdir())


def killed_at(step: int, predictor: Predictor, given: Path, tmp_path: Path) -> bool:
    """Scores in a process that is killed before its `step`th flush to the disk; whether it came so far."""
    child = os.fork()
    if not child:
        left, real = iter(range(step)), os.fsync

        def counted(handle: int) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            real(handle)

        os.fsync = counted
        try:
            score(predictor, given, tmp_path)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_moment_each_row_is_delivered_once(acting: Predictor, given: Path, tmp_path: Path) -> None:
    steps = iter(range(0, 300, 7))
    while killed_at(step := next(steps), acting, given, tmp_path):
        pass
    assert step > 20
    delivered = pd.concat([pd.read_parquet(tmp_path / name)[["row", "run_id"]] for name in ("sure", "rest")])
    assert Counter(delivered["row"]) == Counter(pd.read_parquet(tmp_path / "out" / "predictions")["row"])
    assert set(delivered["run_id"]) == {"run-1"}


def test_columns_that_actions_send_must_be_there(acting: Predictor, given: Path, tmp_path: Path) -> None:
    pd.read_parquet(given).drop(columns="id").to_parquet(given)
    with pytest.raises(InputError, match=r"in\.parquet: no column 'id'"):
        score(acting, given, tmp_path)


CHANGING: dict[str, tuple[list[Any], list[Any]]] = {
    "nothing, then text": ([None] * 5 + ["late"], [None] * 5 + ["late"]),
    "number, then text": ([1, 2, 3, 4, 5, "late"], ["1", "2", "3", "4", "5", "late"]),
    "whole number, then another": ([1, 2, 3, 4, 5, 1.5], [1, 2, 3, 4, 5, 1.5]),
}
"""What a column holds, and how it is sent."""


def sending(small: Small, predictor: Predictor, to: Path | str, *columns: str) -> Predictor:
    """The small model, all of whose rows go to a place with columns that it does not look at."""
    action = Action(name="all", when="probability >= 0", to=str(to), columns=columns or ("extra",))
    contract = predictor.contract.model_copy(update={"actions": (action,)})
    return Predictor((small.downloaded / GRAPH_FILE).read_bytes(), contract)


def write_lines(path: Path, extra: list[Any]) -> Path:
    records = json.loads(new_rows(len(extra)).to_json(orient="records"))
    lines = (json.dumps({**record, "extra": cell}) for record, cell in zip(records, extra, strict=True))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("shard_rows", [2, 60])
@pytest.mark.parametrize("case", CHANGING)
def test_a_column_that_changes_its_type_is_sent_in_one(
    small: Small, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, shard_rows: int
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 300)
    extra, wanted = CHANGING[case]
    given = write_lines(tmp_path / "in.jsonl", extra)
    score(sending(small, predictor, tmp_path / "all"), given, tmp_path, keep=("id",), shard_rows=shard_rows)
    sent = [pq.read_table(path) for path in sorted((tmp_path / "all").iterdir())]
    assert len(sent) == (3 if shard_rows == 2 else 1)
    assert len({str(table.schema.field("extra")) for table in sent}) == 1
    assert [cell for table in sent for cell in table["extra"].to_pylist()] == wanted


def test_a_long_file_whose_types_cannot_be_reconciled_is_a_plain_line(
    small: Small, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 300)
    monkeypatch.setattr(inputs_module, "SMALL", 0)
    given = write_lines(tmp_path / "in.jsonl", [1, 2, 3, 4, 5, "late"])
    with pytest.raises(InputError, match=r"column 'extra' holds string .* write one type in all rows") as refused:
        score(sending(small, predictor, tmp_path / "all"), given, tmp_path, keep=("id",))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "cells", "told"),
    [
        ("extra", [[1, 2]] * 20, "column 'extra' holds list<element: int64>, which a table can't"),
        ("Label", ["a"] * 20, "the columns 'label' and 'Label' are one for SQLite"),
    ],
)
def test_columns_that_the_table_of_an_action_cannot_hold_are_told_before_anything_is_scored(
    small: Small, predictor: Predictor, tmp_path: Path, name: str, cells: list[Any], told: str
) -> None:
    new_rows(20).assign(**{name: cells}).to_parquet(tmp_path / "in.parquet")
    to = f"sqlite:///{tmp_path / 'shop.db'}#acts"
    with pytest.raises(InputError) as refused:
        score(sending(small, predictor, to, "label", name), tmp_path / "in.parquet", tmp_path)
    (line,) = refused.value.problems
    assert line.startswith(f"actions.all: {to}: {told}") and line.endswith("; take it out of the action's columns")
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet"}
