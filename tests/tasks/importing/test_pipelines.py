"""Pickled pipelines of scikit-learn as its documentation makes them: of mixed kinds, some dropped, some missing."""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.feature_selection import SelectPercentile, chi2
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from tests.imports import bring, write_spec


def passengers(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """A table with the columns of the documentation's passengers; a port is missing more often for who drowned."""
    random = np.random.default_rng(seed)
    grade, sex = random.choice([1, 2, 3], rows, p=[0.25, 0.2, 0.55]), random.choice(["female", "male"], rows)
    survived = random.random(rows) < 1 / (1 + np.exp(2 * (sex == "male") + 0.8 * (grade - 2)))
    port = random.choice(["C", "Q", "S"], rows).astype(object)
    port[random.random(rows) < np.where(survived, 0.02, 0.2)] = np.nan
    age = random.normal(30, 14, rows).clip(0.2, 80).round(1)
    age[random.random(rows) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "pclass": grade,
            "name": [f"Doe, {number}" for number in range(rows)],
            "sex": pd.Categorical(sex),
            "age": age,
            "fare": np.exp(random.normal(4.5 - 0.9 * grade, 0.6)).round(4),
            "cabin": np.where(random.random(rows) < 0.2, "C22", None),
            "embarked": pd.Categorical(port),
            "survived": survived.astype(int),
        }
    )


FEATURES = ["pclass", "name", "sex", "age", "fare", "cabin", "embarked"]
KINDS = {"age": "number", "fare": "number", "embarked": "category", "sex": "category"}


def documented(percentile: int) -> Pipeline:
    """The pipeline of "Column Transformer with Mixed Types"; all categories are kept with a percentile of 100."""
    numbers = Pipeline([("imputer", SimpleImputer(strategy="median")), ("scaler", StandardScaler())])
    categories = Pipeline(
        [
            ("encoder", OneHotEncoder(handle_unknown="ignore")),
            ("selector", SelectPercentile(chi2, percentile=percentile)),
        ]
    )
    columns = ColumnTransformer([("num", numbers, ["age", "fare"]), ("cat", categories, ["embarked", "sex", "pclass"])])
    return Pipeline([("preprocessor", columns), ("classifier", LogisticRegression())])


def compared(fitted: Pipeline, frame: pd.DataFrame, folder: Path, kinds: dict[str, str], graph: str = "") -> int:
    """Rows on which the pipeline was asked itself, after all of them were answered as it does."""
    joblib.dump(fitted, folder / "fitted.joblib")
    columns = "\n".join(f'"{name}" = "{kind}"' for name, kind in kinds.items())
    found = bring(
        folder / "fitted.joblib", write_spec(folder, frame, 'column = "survived"', columns, graph), trust=True
    )
    ours = found.probabilities(frame.astype({"pclass": str} if kinds["pclass"] == "category" else {}), [0, 1])
    np.testing.assert_allclose(ours, fitted.predict_proba(frame[FEATURES]), atol=1e-5)
    assert found.imported.recorded is not None
    return found.imported.recorded.rows


@pytest.mark.parametrize("percentile", [50, 100])
@pytest.mark.parametrize("kind", ["number", "category"])
def test_the_documentation_s_example_with_columns_that_it_drops(tmp_path: Path, kind: str, percentile: int) -> None:
    frame = passengers()
    fitted = documented(percentile).fit(frame[FEATURES][::2], frame["survived"][::2])
    assert compared(fitted, frame, tmp_path, KINDS | {"pclass": kind}) == len(frame) / 2


def test_what_the_model_file_says_for_a_missing_value_is_what_the_pipeline_is_asked(tmp_path: Path) -> None:
    frame = passengers()
    fitted = documented(100).fit(frame[FEATURES][::2], frame["survived"][::2])
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    columns = "\n".join(f'"{name}" = "{kind}"' for name, kind in (KINDS | {"pclass": "number"}).items())
    graph = "missing = 30\n[graph.inputs.embarked]\ncolumns = 'embarked'\nmissing = 'S'"
    found = bring(
        tmp_path / "fitted.joblib", write_spec(tmp_path, frame, 'column = "survived"', columns, graph), trust=True
    )
    filled = frame.assign(age=frame["age"].fillna(30), embarked=frame["embarked"].fillna("S"))
    np.testing.assert_allclose(found.probabilities(frame, [0, 1]), fitted.predict_proba(filled[FEATURES]), atol=1e-5)
    assert found.imported.recorded is not None and found.imported.recorded.rows == len(frame) / 2


def test_a_selector_of_columns_and_numbered_categories(tmp_path: Path) -> None:
    frame = passengers().assign(embarked=lambda rows: rows["embarked"].cat.add_categories("none").fillna("none"))
    fitted = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector("age|fare")),
            (OrdinalEncoder(), ["pclass", "sex", "embarked"]),
        ),
        LogisticRegression(max_iter=500),
    ).fit(frame[FEATURES][::2], frame["survived"][::2])
    assert compared(fitted, frame, tmp_path, KINDS | {"pclass": "category"}) == len(frame) / 2
