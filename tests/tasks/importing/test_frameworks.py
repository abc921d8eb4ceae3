"""Models as other frameworks' converters write them, against these frameworks' own predictions."""

from pathlib import Path

import joblib
import lightgbm
import numpy as np
import onnx
import onnxmltools
import pandas as pd
import pytest
from onnxmltools.convert.common.data_types import FloatTensorType as LightFloats
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from models.errors import InputError
from tasks.importing.recorded import DiffersError
from tests.imports import bring, quoted, write_spec

WORDS = ["refund", "broken", "late", "thanks", "great", "Müller", "delivery", "screen", "cable", "price"]


def tickets(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """A text, a category and numbers decide a class of three."""
    random = np.random.default_rng(seed)
    text = [" ".join(random.choice(WORDS, random.integers(2, 9))) for _ in range(rows)]
    frame = pd.DataFrame(
        {
            "message": [t.upper() if i % 5 == 0 else t for i, t in enumerate(text)],
            "plan": random.choice(["basic", "pro", "team"], rows),
            "age in days": random.integers(1, 900, rows).astype(float),
            "price": random.normal(50, 20, rows).round(2),
        }
    )
    angry = frame["message"].str.lower().str.contains("refund|broken")
    frame["queue"] = np.select([angry & (frame["plan"] != "basic"), frame["price"] > 60], ["urgent", "sales"], "normal")
    return frame


MADE = Path(__file__).parent / "made"
TICKET_COLUMNS = '"message" = "text"\n"plan" = "category"\n"age in days" = "number"\n"price" = "number"'
FEATURES = ["message", "plan", "age in days", "price"]


def pipeline(frame: pd.DataFrame, target: str = "queue") -> Pipeline:
    """Texts, categories and numbers in one scikit-learn pipeline, as in its documentation."""
    columns = ColumnTransformer(
        [
            ("words", TfidfVectorizer(token_pattern=r"[a-zA-Zü]+"), "message"),
            ("plans", OneHotEncoder(handle_unknown="ignore"), ["plan"]),
            ("numbers", StandardScaler(), ["age in days", "price"]),
        ]
    )
    return Pipeline([("columns", columns), ("decide", LogisticRegression(max_iter=500))]).fit(
        frame[FEATURES], frame[target]
    )


def converted(fitted: Pipeline) -> bytes:
    types = [(n, (StringTensorType if n in ("message", "plan") else FloatTensorType)([None, 1])) for n in FEATURES]
    return convert_sklearn(fitted, initial_types=types).SerializeToString()


def test_a_scikit_learn_pipeline_of_texts_categories_and_numbers(tmp_path: Path) -> None:
    frame = tickets()
    fitted = pipeline(frame[::2])
    spec = write_spec(tmp_path, frame, 'column = "queue"', TICKET_COLUMNS, "missing = 0")
    found = bring(converted(fitted), spec)
    ours = found.probabilities(frame, list(fitted.classes_))
    np.testing.assert_allclose(ours, fitted.predict_proba(frame[FEATURES]), atol=1e-5)
    onnx.checker.check_model(onnx.load(found.imported.folder / "model.onnx"), full_check=True)
    assert bring(converted(fitted), spec).imported.sha256 == found.imported.sha256


def test_a_pickled_pipeline_is_unpickled_with_trust_alone(tmp_path: Path) -> None:
    frame = tickets()
    fitted = pipeline(frame[::2])
    joblib.dump(fitted, tmp_path / "pipeline.joblib")
    spec = write_spec(tmp_path, frame, 'column = "queue"', TICKET_COLUMNS, "missing = 0")
    with pytest.raises(InputError, match=r"loading it runs whatever code is in it.*--trust"):
        bring(tmp_path / "pipeline.joblib", spec)
    found = bring(tmp_path / "pipeline.joblib", spec, trust=True)
    assert found.imported.facts.framework.startswith("scikit-learn ")
    assert found.imported.recorded is not None and found.imported.recorded.rows == len(frame) / 2
    ours = found.probabilities(frame, list(fitted.classes_))
    np.testing.assert_allclose(ours, fitted.predict_proba(frame[FEATURES]), atol=1e-5)


@pytest.mark.parametrize("named", [True, False], ids=["by names of columns", "by their places"])
@pytest.mark.parametrize("kind", ["classes", "labels", "values", "texts"])
def test_a_converted_pipeline_is_asked_itself(tmp_path: Path, kind: str, named: bool) -> None:
    frame = tickets().drop(columns="plan" if kind != "texts" else ["plan", "price", "age in days"])
    features = frame[["message"] if kind == "texts" else ["age in days", "price"]]
    truth = frame["price"] * 2.0 if kind == "values" else frame["queue"] == "sales"
    learnt = features["message"] if kind == "texts" else features if named else features.to_numpy()
    fitted = {
        "classes": LogisticRegression(max_iter=500),
        "labels": RidgeClassifier(),
        "values": GradientBoostingRegressor(n_estimators=5),
        "texts": make_pipeline(TfidfVectorizer(token_pattern=r"[a-zA-Zü]+"), LogisticRegression()),
    }[kind].fit(learnt, truth)
    joblib.dump(fitted, tmp_path / "fitted.pkl")
    # In another order than the pipeline's, where that has names to go by.
    numbers = ['"age in days" = "number"', '"price" = "number"'][:: -1 if named else 1]
    columns = '"message" = "text"' if kind == "texts" else "\n".join(numbers)
    graph = "missing = 0\nlabel = 'label'" if kind == "labels" else "missing = 0"
    spec = write_spec(tmp_path, features.assign(y=truth), 'column = "y"', columns, graph)
    found = bring(tmp_path / "fitted.pkl", spec, trust=True).imported.recorded
    assert found is not None and found.rows == len(frame) / 2 and found.labels_differ == 0


def test_a_conversion_that_answers_otherwise_than_the_pipeline_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a linear discriminant analysis of two classes does in skl2onnx 1.20 with scikit-learn 1.9."""
    frame = tickets()[["age in days", "price", "queue"]]
    fitted = LogisticRegression(max_iter=500).fit(frame[["age in days", "price"]], frame["queue"] == "sales")
    joblib.dump(fitted, tmp_path / "fitted.pkl")
    spec = write_spec(
        tmp_path, frame.assign(queue=frame["queue"] == "sales"), 'column = "queue"',
        '"age in days" = "number"\n"price" = "number"', "missing = 0",
    )  # fmt: skip
    real = LogisticRegression.predict_proba
    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda self, rows: real(self, rows)[:, ::-1])
    with pytest.raises(DiffersError, match="answers differ from those of the pipeline itself"):
        bring(tmp_path / "fitted.pkl", spec, trust=True)


def test_a_classifier_without_probabilities_answers_by_its_label(tmp_path: Path) -> None:
    frame = tickets()[["age in days", "price", "queue"]]
    fitted = LinearSVC().fit(frame[["age in days", "price"]][::2].to_numpy(np.float32), frame["queue"][::2])
    model = to_onnx(fitted, frame[["age in days", "price"]].to_numpy(np.float32))
    spec = write_spec(
        tmp_path, frame, 'column = "queue"', '"age in days" = "number"\n"price" = "number"', "label='label'"
    )
    found = bring(model, spec)
    said = found.predict(frame)
    names = np.array(found.contract.classes)[said.index]
    expected = fitted.predict(frame[["age in days", "price"]].to_numpy(np.float32))
    assert (names == expected).mean() > 0.99
    assert set(np.unique(said.probabilities)) == {0, 1}


def test_a_regression_has_a_value(tmp_path: Path) -> None:
    frame = tickets()[["age in days", "price"]]
    frame["worth"] = frame["price"] * 3 + np.sqrt(frame["age in days"])
    features = frame[["age in days", "price"]].to_numpy(np.float32)
    fitted = GradientBoostingRegressor(n_estimators=20).fit(features[::2], frame["worth"][::2])
    spec = write_spec(tmp_path, frame, 'column = "worth"', '"age in days" = "number"\n"price" = "number"')
    found = bring(to_onnx(fitted, features), spec)
    assert found.contract.task == "regression"
    np.testing.assert_allclose(found.predict(frame).values, fitted.predict(features), rtol=1e-5)


def machines(rows: int = 400, seed: int = 1) -> pd.DataFrame:
    """Numbers with gaps and a category decide whether something broke."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "torque": random.normal(40, 10, rows).astype(np.float32),
            "wear": random.integers(0, 250, rows).astype(np.float32),
            "type": random.choice(["L", "M", "H"], rows),
        }
    )
    odds = frame["torque"] / 10 + frame["wear"] / 60 + (frame["type"] == "L") * 2 + random.normal(0, 0.7, rows)
    frame["failed"] = np.where(odds > 8, "yes", "no")
    frame.loc[random.random(rows) < 0.1, "torque"] = np.nan
    frame.loc[random.random(rows) < 0.1, "type"] = None
    return frame


MACHINE_COLUMNS = '"torque" = "number"\n"wear" = "number"\n"type" = "category"'


def test_a_boosted_ensemble_of_lightgbm_with_gaps_and_coded_categories(tmp_path: Path) -> None:
    frame = machines()
    coded = frame.assign(type=frame["type"].map({"L": 0, "M": 1, "H": 2}))[["torque", "wear", "type"]].to_numpy(float)
    truth = (frame["failed"] == "yes").astype(int)
    fitted = lightgbm.LGBMClassifier(n_estimators=30, num_leaves=8, verbose=-1).fit(coded[::2], truth[::2])
    model = onnxmltools.convert_lightgbm(fitted, initial_types=[("features", LightFloats([None, 3]))])
    graph = f"classes = {quoted('no', 'yes')}\n[graph.inputs.features]\ncolumns = {quoted('torque', 'wear', 'type')}\n"
    graph += f"codes.type = {quoted('L', 'M', 'H')}"
    found = bring(model, write_spec(tmp_path, frame, 'column = "failed"', MACHINE_COLUMNS, graph))
    assert found.contract.classes == ("no", "yes")
    ours = found.probabilities(frame, ["no", "yes"])
    np.testing.assert_allclose(ours, fitted.predict_proba(coded.astype(np.float32)), atol=1e-5)
    unseen = frame.assign(type="never seen")
    coded[:, 2] = np.nan
    np.testing.assert_allclose(
        found.probabilities(unseen, ["no", "yes"]), fitted.predict_proba(coded.astype(np.float32)), atol=1e-5
    )


def test_a_keras_network_that_tensorflow_trained_and_tf2onnx_wrote(tmp_path: Path) -> None:
    """Made by made/make_keras.py, with the network's own answers beside it; its rows were scaled outside of it."""
    data = load_wine(as_frame=True)
    frame = data.data.assign(cultivar=data.target_names[data.target])
    seen = data.data.to_numpy(np.float32)[::2]
    names = quoted(*data.feature_names)
    graph = f"classes = {quoted(*data.target_names)}\nrecorded = {str(MADE / 'keras_wine.csv')!r}\n"
    graph += "[graph.inputs.measures]\n"
    graph += f"columns = {names}\nmissing = 0\nmean = {seen.mean(0).tolist()}\nstd = {seen.std(0).tolist()}"
    columns = "\n".join(f"{name!r} = 'number'" for name in data.feature_names)
    found = bring(MADE / "keras_wine.onnx", write_spec(tmp_path, frame, 'column = "cultivar"', columns, graph))
    assert found.imported.recorded is not None and found.imported.recorded.rows == len(frame)
    answers = pd.read_csv(MADE / "keras_wine.csv")[[f"probability_{name}" for name in data.target_names]]
    np.testing.assert_allclose(found.probabilities(frame, list(data.target_names)), answers, atol=1e-5)
    right = np.array(found.contract.classes)[found.predict(frame).index] == frame["cultivar"]
    assert right[1::2].mean() > 0.9


@pytest.mark.slow
def test_a_keras_file_is_converted_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    import keras

    frame = machines()[["torque", "wear", "failed"]].fillna({"torque": 40.0})
    inputs = keras.Input((2,), name="sensors")
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    network.save(tmp_path / "network.keras")
    graph = f"classes = {quoted('no', 'yes')}\nmissing = 0"
    found = bring(
        tmp_path / "network.keras",
        write_spec(tmp_path, frame, 'column = "failed"', '"torque" = "number"\n"wear" = "number"', graph),
    )
    assert found.imported.facts.framework == f"Keras {keras.__version__}"
    answers = network.predict(frame[["torque", "wear"]].to_numpy(np.float32), verbose=0)[:, 0]
    np.testing.assert_allclose(found.probabilities(frame, ["yes"])[:, 0], answers, atol=1e-5)
    inner = keras.layers.Lambda(lambda x: x * 2)(inputs)
    keras.Model(inputs, keras.layers.Dense(1)(inner)).save(tmp_path / "code.keras")
    with pytest.raises(InputError, match=r"code\.keras: Keras can't read or convert it: .*[Ll]ambda"):
        bring(tmp_path / "code.keras", tmp_path / "foreign.toml")
