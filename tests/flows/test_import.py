"""`perennial import` as a user meets it: versions of another framework beside those that were trained here."""

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from models.contract import read_contract
from tasks.registry import runs
from tasks.registry.versions import download, find_version
from tests.imports import write_spec
from tests.small import cli, plain, table, write_model
from tests.tasks.importing.by_hand import endless
from tests.tasks.importing.test_pipelines import FEATURES, KINDS, documented, passengers
from tests.tasks.serving.test_server import serve

NUMBERS = ["load", "heat"]
COLUMNS = '[columns]\n"load" = { kind = "number", min = -50, max = 50 }\n"heat" = "number"\n'
QUICK = "[network]\nwidth = 8\nmembers = 2\n[training]\nepochs = 2\nbatch_size = 64\nlearning_rate = 0.02\n"
RULES = "[gates]\naccuracy = { min = 0.4, margin = 0.5 }\n[evaluation]\nresamples = 50\n"
RULES += "[promotion]\nmin_rows = 50\nresamples = 100\n"
GRAPH = '[graph]\nrecorded = "recorded.csv"\n'


def rows() -> pd.DataFrame:
    """They say themselves what they are for."""
    frame = table(600)[["id", *NUMBERS, "broken"]]
    places = frame["id"] % 10
    return frame.assign(part=np.select([places < 5, places < 7], ["train", "validation"], "test"))


def written(folder: Path, name: str, quick: str, graph: str = "") -> Path:
    """A model file beside its rows."""
    rest = f'[split]\ncolumn = "part"\n{graph}{RULES}'
    return write_model(folder, name, rows(), columns=COLUMNS, quick=quick, rest=rest)


def fitted_elsewhere(folder: Path) -> Pipeline:
    """A pipeline of scikit-learn, as `elsewhere.onnx`, and what it answers for some rows, as `recorded.csv`."""
    frame = rows()
    features = frame[NUMBERS].to_numpy(np.float32)
    learnt = frame["part"] != "test"
    fitted = make_pipeline(SimpleImputer(), LogisticRegression()).fit(features[learnt], frame["broken"][learnt])
    (folder / "elsewhere.onnx").write_bytes(to_onnx(fitted, features[:1]).SerializeToString())
    answers = {"label": fitted.predict(features), "probability_yes": fitted.predict_proba(features)[:, 1]}
    frame[NUMBERS].assign(**answers)[:200].to_csv(folder / "recorded.csv", index=False)
    return fitted


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_versions_of_both_frameworks_are_judged_against_each_other(
    request: pytest.FixtureRequest, server: str, tmp_path: Path
) -> None:
    own, spec = written(tmp_path / "own", "both", QUICK), written(tmp_path / "foreign", "both", "", GRAPH)
    fitted = fitted_elsewhere(tmp_path / "foreign")
    bring = ("import", tmp_path / "foreign" / "elsewhere.onnx", "--spec", spec, "--json")
    done = cli(*bring)
    assert done.code == 0, done.both
    assert (done.json["model"], done.json["version"]) == ("both", "1")
    assert done.json["framework"].startswith("skl2onnx ")
    assert done.json["opsets"]["ai.onnx"] >= 7 and done.json["operators"]["ai.onnx.ml.LinearClassifier"] == 1
    assert done.json["recorded"].endswith("on 200 rows (allowed 0.0001)")
    unseen = rows().query("part == 'test'")
    right = (fitted.predict(unseen[NUMBERS].to_numpy(np.float32)) == unseen["broken"]).mean()
    assert done.json["metrics"]["accuracy"] == pytest.approx(right)
    _is_on_record(done.json["run_id"])
    assert cli("promote", "both").code == 0
    _scores_as(fitted, "both", tmp_path)
    request.getfixturevalue("no_evaluation")
    for words in (("train", own), bring):
        made = cli(*words)
        assert made.code == 0, made.both
        promoted = cli("promote", "both", "--json")
        assert promoted.code == 0, promoted.both
        assert any("the champion's (95 % interval" in reason for reason in promoted.json["reasons"])
    assert promoted.json["version"] == "3"


@pytest.mark.slow
@pytest.mark.usefixtures("server", "no_evaluation")
def test_the_pipeline_of_scikit_learn_s_documentation_answers_live(tmp_path: Path) -> None:
    frame = passengers()
    fitted = documented(100).fit(frame[FEATURES][::2], frame["survived"][::2])
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    columns = "\n".join(f'"{name}" = "{kind}"' for name, kind in (KINDS | {"pclass": "category"}).items())
    rest = "[promotion]\nmin_rows = 50\nresamples = 100"
    spec = write_spec(tmp_path, frame, 'column = "survived"', columns, name="passengers", rest=rest)
    done = cli("import", tmp_path / "fitted.joblib", "--spec", spec, "--trust", "--json")
    assert done.code == 0, done.both
    assert done.json["recorded"].startswith("as the pipeline itself within ")
    assert cli("promote", "passengers").code == 0
    taken = [*KINDS, "pclass"]
    rows = json.loads(frame[taken].to_json(orient="records"))
    with serve("passengers") as running:
        status, answer = running.ask("/models/passengers/predict", {"rows": rows})
    assert status == 200
    live = [prediction["probabilities"]["1"] for prediction in answer["predictions"]]
    np.testing.assert_allclose(live, fitted.predict_proba(frame[FEATURES])[:, 1], atol=1e-5)


def _is_on_record(run_id: str) -> None:
    version = find_version("both", "1")
    assert version.tags["original.file"] == "elsewhere.onnx" and len(version.tags["original.sha256"]) == 64
    assert "as recorded within" in version.tags["recorded"]
    graph = runs.read_json(run_id, "graph.json")
    assert graph is not None and graph["operators"]["ai.onnx.ml.Imputer"] == 1


def _scores_as(fitted: Pipeline, model: str, folder: Path) -> None:
    """Whether the champion says of raw rows, one of them a reject, what the pipeline says."""
    frame = rows().astype({"load": object})
    frame.loc[5, "load"] = "much"
    frame.to_csv(folder / "new.csv", index=False)
    scored = cli("score", model, "--input", folder / "new.csv", "--output", folder / "out", "--keep", "id", "--json")
    assert scored.code == 0, scored.both
    assert (scored.json["version"], scored.json["scored"], scored.json["rejected"]) == ("1", 599, 1)
    found = pd.read_parquet(scored.json["predictions"])
    features = rows()[NUMBERS].to_numpy(np.float32)[found["id"].astype(int)]
    np.testing.assert_allclose(found["probability_yes"], fitted.predict_proba(features)[:, 1], atol=1e-5)
    watched = cli("monitor", model, "--input", folder / "new.csv", "--json")
    assert watched.code in (0, 1), watched.both
    assert (watched.json["rows"], watched.json["rejected"]) == (600, 1)


@pytest.mark.usefixtures("server", "no_evaluation")
def test_people_read_what_came_in_and_other_answers_than_recorded_are_refused(tmp_path: Path) -> None:
    spec = written(tmp_path, "told", "", GRAPH)
    fitted_elsewhere(tmp_path)
    done = cli("import", tmp_path / "elsewhere.onnx", "--spec", spec)
    assert done.code == 0, done.both
    lines = done.out.splitlines()
    assert lines[0].startswith("from skl2onnx ") and "LinearClassifier 1" in lines[0]
    assert lines[1].startswith("answers: as recorded within ")
    assert lines[2] == "told version 1 is imported and waits as challenger; on unseen rows:"
    assert lines[-1] == "next: perennial promote told"
    folder = download(find_version("told", "1"), tmp_path / "downloaded")
    assert read_contract(folder).classes == ("no", "yes")
    recorded = pd.read_csv(tmp_path / "recorded.csv")
    recorded.loc[17, "probability_yes"] += 0.01
    recorded.to_csv(tmp_path / "recorded.csv", index=False)
    plain(cli("import", tmp_path / "elsewhere.onnx", "--spec", spec), 1, "by 0.01", "row 18", "in 1 of 200 rows")


@pytest.mark.usefixtures("server")
def test_a_graph_that_never_ends_is_given_up(tmp_path: Path) -> None:
    spec = written(tmp_path, "endless", "", "[graph]\nmissing = 0\nlogits = 'y'\n")
    (tmp_path / "endless.onnx").write_bytes(endless().SerializeToString())
    said = "endless.onnx: while it is tried, it gives no answer for 5 s; --timeout allows more"
    plain(cli("import", tmp_path / "endless.onnx", "--spec", spec, "--timeout", 5), 2, said)


def test_nothing_here_trains_a_model_that_was_made_elsewhere(tmp_path: Path) -> None:
    spec = written(tmp_path, "elsewhere", "", "[graph]\n")
    for words in (("train",), ("retrain",), ("tune",), ("train", "--dry-run")):
        plain(cli(words[0], spec, *words[1:]), 2, "a model with [graph] is trained elsewhere", "perennial import MODEL")
    checked = cli("check", spec, "--json")
    assert checked.code == 0, checked.both
    plain(cli("import", tmp_path / "none.onnx", "--spec", spec), 2, "none.onnx: no such file")
    own = written(tmp_path / "own", "own", QUICK)
    plain(cli("import", tmp_path / "none.onnx", "--spec", own), 2, "no section [graph]")


def test_a_spec_says_all_its_problems_at_once(tmp_path: Path) -> None:
    graph = '[graph]\nprobabilites = "p"\nlogits = "a"\nvalue = "b"\n[graph.inputs.x]\ncolumns = ["laod"]\n'
    spec = written(tmp_path, "wrong", "[network]\nwidth = 8\n", graph)
    said = cli("check", spec, "--json")
    assert said.code == 2
    (found,) = said.json["models"].values()
    text = "\n".join(found["problems"])
    for part in (
        "graph.probabilites: unknown key; did you mean 'probabilities'?",
        "graph.inputs.'x': [columns] has no 'laod'; did you mean 'load'?",
        "network: a model with [graph] is trained elsewhere; remove the section",
    ):
        assert part in text, json.dumps(found["problems"], indent=1)
