"""Equal rows are scored once, and each row gets the prediction of its equal."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS, ColumnSettings
from tasks.scoring import predictor as predictor_module
from tasks.scoring.predictor import BATCH, Predictor
from tasks.scoring.repeated import different_rows, may_repeat
from tests.contracts import contract_of
from tests.tasks.scoring.test_predictor import Echo

WORDS = st.sampled_from(["a", "b", "", "日本", None])
TEXTS, CLASSES = KINDS["text"], KINDS["category"]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=60))
def test_rows_and_their_equals_are_those_of_pandas(rows: list[tuple[str | None, str | None]]) -> None:
    frame = pd.DataFrame(rows, columns=["text", "class"])
    columns = {"text": pa.array(frame["text"], pa.string()), "class": pa.array(frame["class"]).dictionary_encode()}
    different = len(frame.drop_duplicates())
    found = different_rows(columns)
    assert (found is None) == (2 * different > len(rows))
    if found is not None:
        first, codes = found
        assert len(first) == different
        pd.testing.assert_frame_equal(frame.iloc[first[codes]].reset_index(drop=True), frame)


def test_numbers_are_not_looked_at() -> None:
    assert may_repeat(["text", "category"]) and may_repeat(["text"])
    assert not may_repeat(["text", "number"]) and not may_repeat(["category"])


@pytest.mark.parametrize(("different", "scored"), [(10, 10), (3 * BATCH, 3 * BATCH)])
def test_each_row_is_predicted_as_its_equal(monkeypatch: pytest.MonkeyPatch, different: int, scored: int) -> None:
    class Lengths(Echo):
        def run(self, given: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg, override]
            return super().run(given, {**feed, "n": np.zeros(len(feed["t"]), np.float32)})

    echo = Lengths()
    monkeypatch.setattr(predictor_module, "start_session", lambda *_: echo)
    kinds: dict[str, ColumnSettings] = {"t": TEXTS.settings()}
    lengths = np.arange(3 * BATCH) % different + 1
    texts = pa.array(["x" * length for length in lengths])
    found = Predictor(b"", contract_of(kinds), 2).predict({"t": texts})
    assert found.values is not None and found.values.tolist() == lengths.tolist()
    assert sum(rows for rows, _ in echo.batches) == scored
