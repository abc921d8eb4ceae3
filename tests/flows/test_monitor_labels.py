"""`perennial monitor` where labels have arrived: real performance beside the promised one."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from sklearn import metrics as sk

from tests.conftest import Small
from tests.small import cli, table


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows like those of the training, with their target."""
    path = tmp_path_factory.mktemp("labelled") / "rows.csv"
    table(600, seed=11).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def predicted(small: Small, rows: Path) -> pd.DataFrame:
    """What `score` says about them."""
    out = rows.with_name("scored")
    assert cli("score", "small", "--input", rows, "--output", out).code == 0
    return pd.read_parquet(out / "predictions")


def figures(told: dict[str, Any]) -> dict[str, float]:
    return {name: each["now"]["value"] for name, each in told["performance"]["metrics"].items()}


def test_performance_is_that_of_scikit_learn_and_as_promised(small: Small, rows: Path, predicted: pd.DataFrame) -> None:
    said = cli("monitor", "small", "--input", rows, "--json")
    assert said.code == 0, said.both
    told = said.json
    assert told["performance"]["labelled"] == 600 and told["worse"] == []
    truth, labels = predicted["broken"] == "yes", predicted["label"] == "yes"
    expected = {
        "average_precision": sk.average_precision_score(truth, predicted["probability_yes"]),
        "accuracy": sk.accuracy_score(truth, labels),
        "f1": sk.f1_score(truth, labels),
    }
    assert {name: figures(told)[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    promised = told["performance"]["metrics"]["average_precision"]["promised"]["value"]
    assert promised == pytest.approx(small.metrics["average_precision"])
    folder = Path(told["report"]).parent
    assert json.loads((folder / "performance.json").read_text()) == told["performance"]
    assert "How true the predictions were" in Path(told["report"]).read_text()


def test_labels_of_another_table_are_found_by_their_key(small: Small, rows: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(rows)
    frame.drop(columns="broken").to_csv(tmp_path / "rows.csv", index=False)
    labels = frame[["id", "broken"]].sample(frac=1, random_state=0).iloc[:400].astype({"id": float})
    # The same label twice is one; a row without a label, and one of a row that is not there, are none.
    more = pd.DataFrame(
        {"id": [float(labels["id"].iloc[0]), 1e6, 5e5], "broken": [labels["broken"].iloc[0], "yes", None]}
    )
    pd.concat([labels, more]).to_parquet(tmp_path / "labels.parquet")
    said = cli("monitor", "small", "--input", tmp_path / "rows.csv", "--labels", tmp_path / "labels.parquet",
               "--on", "id", "--json")  # fmt: skip
    assert said.code == 0, said.both
    assert said.json["performance"]["labelled"] == 400
    frame[frame["id"].isin(labels["id"])].to_csv(tmp_path / "part.csv", index=False)
    alone = cli("monitor", "small", "--input", tmp_path / "part.csv", "--json").json
    assert figures(said.json) == pytest.approx(figures(alone))


@pytest.mark.usefixtures("server")
def test_a_version_that_does_worse_than_promised_is_a_breach(small: Small, rows: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(rows)
    frame["broken"] = np.random.default_rng(0).permutation(frame["broken"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    said = cli("monitor", "small", "--input", tmp_path / "rows.csv")
    assert said.code == 1, said.both
    assert "nothing has drifted" in said.out and re.search(r"^worse in \d of the last \d windows", said.out, re.M)
    line = next(line for line in said.out.splitlines() if "average_precision" in line)
    assert line.endswith(", worse")
    with get_client(sync_client=True) as client:
        shown = [str(artifact.data) for artifact in client.read_artifacts() if artifact.key == "drift"]
    told = next(text for text in shown if "average_precision worse than promised" in text.splitlines()[0])
    assert "600 rows, 0 rejected, 600 with labels." in told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--labels", "labels.csv"], "--labels and --on: give both"),
        (["--on", "id"], "--labels and --on: give both"),
        (["--labels", "sqlite:///x.db#labels", "--on", "id"], "--labels: give files"),
        (["--labels", "labels.csv", "--on", "nr"], "no column 'nr'"),
        (["--labels", "twice.csv", "--on", "id"], "twice.csv: id '1' has several labels"),
    ],
)
def test_labels_that_can_not_be_used_are_one_plain_line(
    small: Small, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.read_csv(rows).drop(columns="broken").to_csv("rows.csv", index=False)
    pd.DataFrame({"id": [1, 2], "broken": ["no", "yes"]}).to_csv("labels.csv", index=False)
    pd.DataFrame({"id": [1, 1], "broken": ["no", "yes"]}).to_csv("twice.csv", index=False)
    said = cli("monitor", "small", "--input", "rows.csv", *more)
    assert said.code == 2 and told in said.err and len(said.err.splitlines()) == 1, said.both


def test_without_labels_nothing_is_said_of_performance(small: Small, rows: Path, tmp_path: Path) -> None:
    pd.read_csv(rows).drop(columns="broken").to_csv(tmp_path / "rows.csv", index=False)
    assert cli("monitor", "small", "--input", tmp_path / "rows.csv", "--json").json["performance"] is None
