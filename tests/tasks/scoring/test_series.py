"""A model of series scores files and tables: each row gets a prediction for its own window, or a reason."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest

from models.errors import InputError
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.pyfunc import PyFunc
from tasks.scoring.score import Scores, score_files
from tasks.scoring.shards import EVERYTHING
from tests.packages import export_quickly
from tests.small import write_model
from tests.tasks.scoring.crews import Here
from tests.tasks.scoring.in_databases import score_rows

WINDOW = 4
COLUMNS = """
[columns]
"heat" = "series"
"load" = { kind = "series", sensitive = true }
"age" = "number"
[series]
group = "engine"
time = "cycle"
window = 4
stride = 3
"""
QUICK = "[network]\nwidth = 8\ndepth = 1\nmembers = 2\nembedding = 4\n[training]\nepochs = 1\nbatch_size = 64\n"


def frame_of(engines: int, cycles: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    engine = np.repeat([f"e{i}" for i in range(engines)], cycles)
    heat = random.normal(300, 5, len(engine)).round(2)
    return pd.DataFrame(
        {
            "engine": engine,
            "cycle": np.tile(np.arange(cycles), engines),
            "heat": heat,
            "load": random.normal(0, 1, len(engine)).round(3),
            "age": random.normal(0, 1, len(engine)).round(3),
            "left": heat - 300,
        }
    )


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("series")
    target = 'column = "left"\nkind = "regression"'
    file = write_model(folder, "life", frame_of(30, 9), target=target, columns=COLUMNS, quick=QUICK, rest="[split]\n")
    return Predictor.load(export_quickly(file, folder).folder)


def scored(predictor: Predictor, folder: Path, *files: Path) -> tuple[Scores, pd.DataFrame, pd.DataFrame]:
    done = score_files(predictor, [str(file) for file in files], folder / "out", Stamp("life", "1", "r"))
    return done, pd.read_parquet(done.predictions), pd.read_parquet(done.rejects)


def expected(predictor: Predictor, frame: pd.DataFrame, row: int) -> float:
    """The plain graph on the window that ends at the row, gathered by hand."""
    end = frame.iloc[row]
    own = frame[(frame["engine"] == end["engine"]) & (frame["cycle"] <= end["cycle"])].sort_values("cycle")[-WINDOW:]
    feed = {name: own[[name]].to_numpy(np.float32).T for name in ("heat", "load")}
    (value,) = predictor.session.run(None, {**feed, "age": np.array([end["age"]], np.float32)})
    return float(value[0])


def test_the_graph_takes_windows_of_raw_values(predictor: Predictor) -> None:
    shapes = {given.name: given.shape for given in predictor.session.get_inputs()}
    assert shapes == {"heat": ["rows", WINDOW], "load": ["rows", WINDOW], "age": ["rows"]}
    assert isinstance(predictor.session, ort.InferenceSession)


def test_each_row_is_scored_on_its_own_window_whatever_the_files_order(predictor: Predictor, tmp_path: Path) -> None:
    """Training strides, scoring doesn't."""
    frame = frame_of(3, 7, seed=1).sample(frac=1, random_state=3).drop(columns="left")
    frame.to_csv(tmp_path / "in.csv", index=False)
    done, predictions, rejects = scored(predictor, tmp_path, tmp_path / "in.csv")
    assert (done.rows, done.scored, done.rejected, done.reasons) == (21, 12, 9, {"window too short": 9})
    assert sorted([*predictions["row"], *rejects["row"]]) == list(range(1, 22))
    assert {frame["cycle"].iloc[row - 1] for row in rejects["row"]} == {0, 1, 2}
    by_hand = [expected(predictor, frame, row - 1) for row in predictions["row"]]
    np.testing.assert_allclose(predictions["value"], by_hand, rtol=1e-5)


def test_every_bad_row_is_one_reject_with_its_reason(predictor: Predictor, tmp_path: Path) -> None:
    frame = frame_of(3, 7, seed=1).drop(columns="left").astype(object)
    frame.loc[4, "heat"] = "hot"
    frame.loc[5, ["heat", "age"]] = "hot", "old"
    frame.loc[11, "cycle"] = 3
    frame.loc[13, "engine"] = None
    frame.loc[20, "load"] = None
    frame.to_csv(tmp_path / "in.csv", index=False)
    done, predictions, rejects = scored(predictor, tmp_path, tmp_path / "in.csv")
    assert sorted([*predictions["row"], *rejects["row"]]) == list(range(1, 22))
    told = dict(zip(rejects["row"], rejects["reason"], strict=True))
    assert {row: why for row, why in told.items() if why != "window too short"} == {
        5: "wrong type",
        6: "wrong type; wrong type",
        12: "duplicate time",
        14: "missing engine",
    }
    assert done.rows == done.scored + done.rejected == 21
    assert "sha256:" in rejects["values"][0], "load is sensitive"


def test_engines_go_on_from_file_to_file(predictor: Predictor, tmp_path: Path) -> None:
    frame = frame_of(2, 8, seed=2).drop(columns="left")
    frame[frame["cycle"] < 4].to_csv(tmp_path / "a.csv", index=False)
    frame[frame["cycle"] >= 4].to_csv(tmp_path / "b.csv", index=False)
    frame.to_csv(tmp_path / "whole.csv", index=False)
    _, parts, _ = scored(predictor, tmp_path / "1", tmp_path / "a.csv", tmp_path / "b.csv")
    _, whole, _ = scored(predictor, tmp_path / "2", tmp_path / "whole.csv")
    keys = ["engine", "cycle"]
    both = parts.merge(whole, on=keys, suffixes=("", "_whole"))
    assert len(both) == len(whole) == len(parts) == 10
    np.testing.assert_allclose(both["value"], both["value_whole"], rtol=1e-6)


def test_one_worker_does_all_files_of_engines_that_go_on(predictor: Predictor, tmp_path: Path) -> None:
    frame, crew = frame_of(2, 8, seed=2).drop(columns="left"), Here()
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    frame[frame["cycle"] < 4].to_csv(files[0], index=False)
    frame[frame["cycle"] >= 4].to_csv(files[1], index=False)
    _, alone, _ = scored(predictor, tmp_path / "alone", *files)
    done = score_rows(predictor, list(map(str, files)), tmp_path / "out", crew=crew, key=None)
    assert crew.begun == [EVERYTHING]
    stamped = ["model", "run_id"]
    out = pd.read_parquet(done.predictions)
    pd.testing.assert_frame_equal(out.drop(columns=stamped), alone.drop(columns=stamped))


@pytest.mark.parametrize("empty", [[], ["engine", "cycle"]], ids=["too short", "no group and no time"])
def test_a_file_without_a_window_has_no_predictions(predictor: Predictor, tmp_path: Path, empty: list[str]) -> None:
    frame = frame_of(2, 3).drop(columns="left").astype(object)
    frame[empty] = None
    frame.to_csv(tmp_path / "in.csv", index=False)
    done, predictions, rejects = scored(predictor, tmp_path, tmp_path / "in.csv")
    assert (done.rows, done.scored, len(predictions), len(rejects)) == (6, 0, 0, 6)


def test_rejects_name_the_column_that_is_to_blame(predictor: Predictor, tmp_path: Path) -> None:
    frame = frame_of(1, 10).drop(columns="left").astype(object)
    frame.loc[9, "engine"] = None
    frame.loc[8, "cycle"] = None
    frame.loc[7, "cycle"] = frame.loc[6, "cycle"]
    frame.loc[5, "heat"] = "hot"
    frame.to_csv(tmp_path / "in.csv", index=False)
    rejects = scored(predictor, tmp_path, tmp_path / "in.csv")[2].set_index("row")
    found = {row: (rejects.loc[row, "column"], rejects.loc[row, "reason"]) for row in (6, 8, 9, 10)}
    assert found == {
        6: ("heat", "wrong type"),
        8: ("cycle", "duplicate time"),
        9: ("cycle", "no time in cycle"),
        10: ("engine", "missing engine"),
    }


def test_json_lines_whose_values_change_type_are_accounted_for(predictor: Predictor, tmp_path: Path) -> None:
    frame = frame_of(1, 8).drop(columns="left").astype(object)
    frame.loc[6, "heat"] = "hot"
    frame.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    done, _, rejects = scored(predictor, tmp_path, tmp_path / "in.jsonl")
    assert (done.rows, done.scored, done.rejected) == (8, 4, 4)
    assert rejects["reason"].tolist() == ["window too short"] * 3 + ["wrong type"]


def test_a_table_has_no_prediction_where_there_is_no_full_window(predictor: Predictor) -> None:
    """An index of any kind stays with its rows."""
    frame = frame_of(2, 6, seed=4).drop(columns="left").sample(frac=1, random_state=0)
    found = PyFunc(predictor).predict(frame)
    assert found.index.equals(frame.index)
    full = frame["cycle"] >= WINDOW - 1
    assert found["value"].isna().tolist() == (~full).tolist()
    by_hand = [expected(predictor, frame, row) for row in np.flatnonzero(full)]
    np.testing.assert_allclose(found.loc[full, "value"], by_hand, rtol=1e-5)


def test_a_table_of_short_series_has_no_prediction_at_all(predictor: Predictor) -> None:
    found = PyFunc(predictor).predict(frame_of(2, 3).drop(columns="left"))
    assert found["value"].isna().all() and len(found) == 6


def test_a_table_without_its_group_is_one_plain_error(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"'engine', row 1: missing engine"):
        PyFunc(predictor).predict(frame_of(1, 5).drop(columns=["left", "engine"]))


def test_the_contract_names_what_windows_are_made_of(predictor: Predictor, tmp_path: Path) -> None:
    assert predictor.contract.raw_columns == ("heat", "load", "age", "engine", "cycle")
    frame_of(1, 5).drop(columns="cycle").to_csv(tmp_path / "in.csv", index=False)
    with pytest.raises(InputError, match="'cycle'"):
        scored(predictor, tmp_path, tmp_path / "in.csv")


def test_the_cut_into_batches_makes_no_difference(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.data import windows

    frame_of(4, 9, seed=6).drop(columns="left").to_csv(tmp_path / "in.csv", index=False)
    whole = scored(predictor, tmp_path / "1", tmp_path / "in.csv")[1]
    monkeypatch.setattr(windows, "BYTES_AT_ONCE", 200)
    cut = scored(predictor, tmp_path / "2", tmp_path / "in.csv")[1]
    assert whole["row"].tolist() == cut["row"].tolist()
    np.testing.assert_allclose(whole["value"], cut["value"], rtol=1e-6)


def test_looking_at_the_first_rows_to_tune_changes_no_window(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = frame_of(4, 12)
    for number, part in enumerate((frame[frame["cycle"] < 6], frame[frame["cycle"] >= 6])):
        part.to_parquet(tmp_path / f"{number}.parquet")
    files = (tmp_path / "0.parquet", tmp_path / "1.parquet")
    _, plain, rejects = scored(predictor, tmp_path / "plain", *files)
    monkeypatch.setattr("tasks.scoring.score.MANY", 1)
    _, tuned, same_rejects = scored(predictor, tmp_path / "tuned", *files)
    pd.testing.assert_frame_equal(tuned, plain)
    pd.testing.assert_frame_equal(same_rejects, rejects)
