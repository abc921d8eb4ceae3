"""`perennial import` as a user meets it: a version of another framework beside one that was trained here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from tests.small import cli, table, write_model

NUMBERS = ["load", "heat"]
COLUMNS = '[columns]\n"load" = { kind = "number", min = -50, max = 50 }\n"heat" = "number"\n'
RULES = "[promotion]\nmin_rows = 50\nresamples = 100\n"


def rows() -> pd.DataFrame:
    frame = table(600).drop(columns=["shop", "night", "made"])
    frame["part"] = np.where(frame["id"] % 10 < 5, "train", np.where(frame["id"] % 10 < 7, "validation", "test"))
    return frame


def written(folder: Path, name: str, graph: str) -> Path:
    """A model file on rows that say themselves what they are for."""
    rest = f'[split]\ncolumn = "part"\n{graph}{RULES}'
    return write_model(folder, name, rows(), columns=COLUMNS, quick="" if graph else QUICK_TRAINING, rest=rest)


QUICK_TRAINING = "[network]\nwidth = 8\nmembers = 2\n[training]\nepochs = 2\nbatch_size = 64\nlearning_rate = 0.02\n"


def trees(frame: pd.DataFrame) -> tuple[bytes, Pipeline]:
    learnt = frame[frame["part"] != "test"]
    features = learnt[NUMBERS].to_numpy(np.float32)
    fitted = make_pipeline(SimpleImputer(), LogisticRegression()).fit(features, learnt["broken"])
    return to_onnx(fitted, features[:1]).SerializeToString(), fitted


@pytest.mark.usefixtures("server")
def test_a_version_of_scikit_learn_meets_one_trained_here_and_scores(tmp_path: Path) -> None:
    frame = rows()
    own = written(tmp_path / "own", "mixed", "")
    spec = written(tmp_path / "foreign", "mixed", '[graph]\nrecorded = "recorded.csv"\n[evaluation]\nresamples = 50\n')
    graph, fitted = trees(frame)
    (tmp_path / "trees.onnx").write_bytes(graph)
    features = frame[NUMBERS].to_numpy(np.float32)
    recorded = frame[NUMBERS].assign(
        label=fitted.predict(features), probability_yes=fitted.predict_proba(features)[:, 1]
    )
    recorded[:100].to_csv(tmp_path / "foreign" / "recorded.csv", index=False)
    checked = cli("check", spec)
    assert checked.code == 0, checked.both
    assert cli("train", own).code == 0
    assert cli("promote", "mixed").code == 0
    done = cli("import", tmp_path / "trees.onnx", "--spec", spec, "--json")
    assert done.code == 0, done.both
    print(done.json)
    assert (done.json["model"], done.json["version"]) == ("mixed", "2")
    promoted = cli("promote", "mixed", "--json")
    print(promoted.both)
    scored = cli(
        "score",
        "mixed@2" if False else "models:/mixed/2",
        "--input",
        tmp_path / "own" / "mixed.csv",
        "--output",
        tmp_path / "out",
        "--json",
    )
    assert scored.code == 0, scored.both
    print(scored.json)
    found = pd.read_parquet(scored.json["predictions"])
    np.testing.assert_allclose(found["probability_yes"], fitted.predict_proba(features)[:, 1], atol=1e-5)
