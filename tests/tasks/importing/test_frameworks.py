"""Models as other frameworks' converters write them, against these frameworks' own predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.imports import bring, write_spec

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
    print(found.imported.facts)
    ours = found.probabilities(frame, list(fitted.classes_))
    np.testing.assert_allclose(ours, fitted.predict_proba(frame[FEATURES]), atol=1e-5)
