"""Categories are looked up outside of the graph as they are in it."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from models.columns import KINDS
from tasks.scoring.predictor import BATCH, Predictor
from tests.conftest import Small

ROWS = 2 * BATCH + 5


@pytest.fixture
def columns(small: Small) -> dict[str, pa.Array]:
    contract, generator = Predictor.load(small.downloaded).contract, np.random.default_rng(0)
    words = np.array(["a", "b", "c", "never seen", None], dtype=object)
    made = {"category": pa.array(generator.choice(words, ROWS)), "number": pa.array(generator.normal(size=ROWS))}
    return {
        c.name: KINDS[c.settings.kind].parse(made.get(c.settings.kind, made["number"]), c.settings, ()).values
        for c in contract.columns
    }


def test_many_rows_get_bit_for_bit_what_the_whole_graph_says(small: Small, columns: dict[str, pa.Array]) -> None:
    predictor = Predictor.load(small.downloaded)
    assert any(c.settings.kind == "category" for c in predictor.contract.columns)
    feed = {c.name: KINDS[c.settings.kind].to_input(columns[c.name], c.settings) for c in predictor.contract.columns}
    found, whole = predictor.predict(columns), predictor.run(feed)
    assert found.probabilities is not None and whole.probabilities is not None
    assert found.probabilities.tobytes() == whole.probabilities.tobytes()


def test_few_rows_go_through_the_whole_graph(
    small: Small, columns: dict[str, pa.Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.scoring.predictor.without_lookups", lambda *_: pytest.fail("not for these"))
    found = Predictor.load(small.downloaded).predict({name: values[:BATCH] for name, values in columns.items()})
    assert found.index is not None and len(found.index) == BATCH


def test_a_value_of_the_vocabulary_has_its_code_whatever_dictionary_it_comes_in() -> None:
    from tasks.scoring.lookups import Lookup

    lookup = Lookup("codes", ("", "a", "b"), (0, 2, 3), 1)
    one = pa.array(["b", None, "a", "x", "b"]).dictionary_encode()
    other = pa.DictionaryArray.from_arrays(pa.array([2, None, 1, 0, 2], pa.int32()), pa.array(["x", "a", "b"]))
    assert lookup(one).tolist() == lookup(other).tolist() == [3, 0, 2, 1, 3]
    assert pd.isna(one[1].as_py())
