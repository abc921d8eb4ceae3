"""A second version in the same pass, against the same version scored alone."""

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from models.contract import read_contract
from models.errors import InputError
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files
from tasks.scoring.shadow import Shadow
from tests.conftest import Small
from tests.tasks.scoring.scored_files import STAMP, Run, new_rows


@pytest.fixture
def other(small: Small) -> Predictor:
    """The small model with the weights of its trunk halved, and a narrower range for one column."""
    contract = read_contract(small.downloaded)
    graph = onnx.load(small.downloaded / "model.onnx")
    for weight in graph.graph.initializer:
        if "trunk" in weight.name:
            halved = onnx.numpy_helper.to_array(weight) / np.float32(2)
            weight.CopyFrom(onnx.numpy_helper.from_array(halved, weight.name))
    columns = [
        column.model_copy(update={"settings": column.settings.model_copy(update={"max": 1.0})})
        if column.name == "load"
        else column
        for column in contract.columns
    ]
    return Predictor(graph.SerializeToString(), contract.model_copy(update={"columns": tuple(columns)}))


def test_both_versions_say_what_they_say_alone(run: Run, other: Predictor, rows_csv: Path, tmp_path: Path) -> None:
    alone = pd.read_parquet(run(rows_csv, output="first").predictions)
    second = pd.read_parquet(score_files(other, [str(rows_csv)], tmp_path / "second", STAMP).predictions)
    done = run(rows_csv, output="both", shadow=Shadow(other, "small", "2"))
    both = pd.read_parquet(done.predictions)
    pd.testing.assert_frame_equal(both[list(alone.columns)], alone)
    matched = both.merge(second, on="row", how="left", suffixes=("", "_alone"))
    assert matched["probability_yes_alone"].isna().sum() > 10
    np.testing.assert_array_equal(matched["also_probability_yes"], matched["probability_yes_alone"])
    assert matched["also_label"].isna().equals(matched["label_alone"].isna())
    judged = matched.dropna(subset=["label_alone"])
    apart = judged["probability_yes_alone"].astype(float) - judged["probability_yes"].astype(float)
    assert done.shadow["compared"] == len(judged) == len(second)
    assert done.shadow["agree"] == pytest.approx((judged["label"] == judged["label_alone"]).mean())
    assert done.shadow["shift"] == pytest.approx(apart.mean(), abs=1e-6)
    assert done.shadow["distance"] == pytest.approx(apart.abs().mean(), abs=1e-6)
    assert set(both["also_model_version"].dropna()) == {"2"}


def test_a_version_beside_itself_agrees_with_itself(run: Run, predictor: Predictor, rows_csv: Path) -> None:
    done = run(rows_csv, shadow=Shadow(predictor, "small", "1"))
    assert done.shadow == {"compared": 198, "agree": 1.0, "distance": 0.0, "shift": 0.0}


def test_a_second_version_that_rejects_all_rows_is_compared_on_none(
    run: Run, small: Small, rows_csv: Path, predictor: Predictor
) -> None:
    columns = tuple(
        column.model_copy(update={"settings": column.settings.model_copy(update={"min": 900.0, "max": 901.0})})
        if column.name == "load"
        else column
        for column in predictor.contract.columns
    )
    graph = (small.downloaded / "model.onnx").read_bytes()
    strict = Predictor(graph, predictor.contract.model_copy(update={"columns": columns}))
    assert run(rows_csv, shadow=Shadow(strict, "small", "2")).shadow == {"compared": 0}
    assert run(rows_csv, output="alone").shadow == {}


@pytest.fixture
def renamed(small: Small) -> Predictor:
    """The small model, which takes `strain` instead of `load`."""
    contract = read_contract(small.downloaded)
    graph = onnx.load(small.downloaded / "model.onnx")
    for node in graph.graph.node:
        node.input[:] = ["strain" if name == "load" else name for name in node.input]
    for given in graph.graph.input:
        given.name = "strain" if given.name == "load" else given.name
    columns = [
        column.model_copy(update={"name": "strain"}) if column.name == "load" else column for column in contract.columns
    ]
    return Predictor(graph.SerializeToString(), contract.model_copy(update={"columns": tuple(columns)}))


def test_columns_that_only_the_second_version_takes_are_read(run: Run, renamed: Predictor, tmp_path: Path) -> None:
    new_rows(20).assign(strain=lambda rows: rows["load"]).to_csv(tmp_path / "in.csv", index=False)
    done = run(tmp_path / "in.csv", keep=["id"], shadow=Shadow(renamed, "small", "2"))
    assert done.shadow == {"compared": 20, "agree": 1.0, "distance": 0.0, "shift": 0.0}
    assert "strain" not in pd.read_parquet(done.predictions).columns


def test_columns_that_the_second_version_lacks_are_told_before_anything_is_written(
    run: Run, renamed: Predictor, tmp_path: Path
) -> None:
    new_rows(20).to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(InputError, match=r"in\.csv: no column 'strain'"):
        run(tmp_path / "in.csv", keep=["id"], shadow=Shadow(renamed, "small", "2"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
