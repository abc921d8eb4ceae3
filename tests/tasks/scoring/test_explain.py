"""Each word and column is told by what the decision loses without it; the model is a sum that is known."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS
from models.sections import Task
from tasks.data.contents import row_bytes
from tasks.scoring import explain as explain_module
from tasks.scoring.explain import explain
from tasks.scoring.predictor import Predictions, Predictor
from tests.contracts import contract_of

WORTH = {"refund": 0.3, "angry": 0.125, "thanks": -0.25, "maybe": 0.004, "!": 0.0625}
TOKEN = re.compile(r"\w+|[^\w\s]")


class Known:
    """The probability of "yes" is .5, what each word in any text is worth, .1 for a tier of gold, and n."""

    def __init__(self, task: Task = "binary", sensitive: Sequence[str] = (), **kinds: str) -> None:
        columns = {name: KINDS[kind].settings(sensitive=name in sensitive) for name, kind in kinds.items()}
        self.contract = contract_of(columns, task, classes=("no", "yes") if task == "binary" else ())
        self.rows: list[int] = []

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        rows = len(next(iter(columns.values())))
        self.rows.append(rows)
        found = np.full(rows, 0.5)
        for name, values in columns.items():
            found += [self._worth(name, value) for value in values.to_pylist()]
        if self.contract.task == "regression":
            return Predictions(None, None, found.astype(np.float32))
        probabilities = np.stack([1 - found, found], axis=1).astype(np.float32)
        return Predictions(probabilities.argmax(axis=1), probabilities, None)

    def _worth(self, name: str, value: Any) -> float:
        if value is None:
            return 0.0
        if name == "photo":
            return 0.1
        if name == "tier":
            return 0.1 if value == "gold" else 0.0
        return value if name == "n" else sum(worth for word, worth in WORTH.items() if word in TOKEN.findall(value))


def why(known: Known, **columns: pa.Array) -> list[str]:
    return explain(cast(Predictor, known), columns, known.predict(columns))


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def test_words_are_told_by_what_the_decision_loses_without_them() -> None:
    """One of two equal words is not missed."""
    found = why(Known(m="text"), m=texts("angry , a refund", "thanks , a refund thanks"))
    assert found == ["“refund” +0.3, “angry” +0.12", "“refund” +0.3"]


def test_a_sign_is_not_blamed_for_the_words_beside_it() -> None:
    assert why(Known(m="text"), m=texts("refund,please")) == ["“refund” +0.3"]


def test_a_word_against_the_decision_has_a_minus() -> None:
    assert why(Known(m="text"), m=texts("refund thanks")) == ["“refund” +0.3, “thanks” -0.25"]
    assert why(Known(m="text"), m=texts("thanks")) == ["“thanks” +0.25"]


def test_columns_are_left_out_as_a_whole() -> None:
    tier = pa.array(["gold", "tin", None]).dictionary_encode()
    found = why(
        Known(m="text", tier="category", n="number"),
        m=texts("refund", None, ""),
        tier=tier,
        n=pa.array([0.05, None, -0.2]),
    )
    assert found == ["“refund” +0.3, tier +0.1, n +0.05", "", "n +0.2"]


def test_each_text_has_words_of_its_own() -> None:
    found = why(Known(a="text", b="text"), a=texts("refund"), b=texts("angry"))
    assert found == ["“refund” +0.3, “angry” +0.12"]


def test_what_hardly_matters_is_not_told() -> None:
    assert why(Known(m="text"), m=texts("maybe maybe", "hello")) == ["", ""]


def test_the_four_that_matter_most_are_told() -> None:
    found = why(
        Known(m="text", n="number", tier="category"),
        m=texts("! refund angry thanks"),
        n=pa.array([0.07]),
        tier=pa.array(["gold"]).dictionary_encode(),
    )
    assert found == ["“refund” +0.3, “thanks” -0.25, “angry” +0.12, tier +0.1"]


def test_of_a_sensitive_text_no_word_is_told() -> None:
    found = why(Known(sensitive=["m"], m="text", n="number"), m=texts("a refund", None), n=pa.array([0.05, 0.05]))
    assert found == ["m +0.3, n +0.05", "n +0.05"]


def test_a_regression_tells_by_how_much_the_value_changes() -> None:
    """However little: its unit is not known."""
    found = why(Known("regression", m="text", n="number"), m=texts("maybe", "refund"), n=pa.array([1000.0, None]))
    assert found == ["n +1e+03, “maybe” +0.004", "“refund” +0.3"]


def test_rows_without_anything_have_no_reason() -> None:
    assert why(Known(m="text", n="number"), m=texts(None, ""), n=pa.array([None, None], pa.float64())) == ["", ""]


def test_no_rows_have_no_reasons() -> None:
    assert why(Known(m="text"), m=texts()) == []


def test_rows_do_not_mix_however_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    many = texts(*["refund angry", "thanks", None, "hello !"] * 5)
    whole = why(Known(m="text"), m=many)
    assert whole == ["“refund” +0.3, “angry” +0.12", "“thanks” +0.25", "", "“!” +0.062"] * 5
    monkeypatch.setattr(explain_module, "AT_ONCE", 3)
    known = Known(m="text")
    assert why(known, m=many) == whole
    assert known.rows == [20, *[3] * 8, 1], "the rows as they are, then 25 words"


def test_large_rows_are_predicted_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(photo="image")
    size = row_bytes({"photo": known.contract.columns[0].settings})
    monkeypatch.setattr(explain_module, "BYTES_AT_ONCE", 2 * size + 1)
    assert why(known, photo=pa.array([b"x" * size] * 5, pa.binary(size))) == ["photo +0.1"] * 5
    assert known.rows == [5, 2, 2, 1], "the rows as they are, then 5 pictures"


def test_of_a_long_text_the_first_words_are_tried() -> None:
    known = Known(m="text")
    found = why(known, m=texts("hello " * 300 + "refund"))
    assert (found, sum(known.rows)) == ([""], 301)


def test_a_long_word_is_shortened_where_it_is_shown() -> None:
    """It is left out as a whole."""
    shown = {text: list(explain_module._words(0, "m", text)) for text in ("a" * 40, "b" * 41, "c" * 2000)}
    assert [parts[0][1:] for parts in shown.values()] == [
        (f"“{'a' * 40}”", "m", " "),
        (f"“{'b' * 39}…”", "m", " "),
        (f"“{'c' * 39}…”", "m", " "),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop", ["Don", "'", "t", "stop"]),
        ("größe日本 24h", ["größe", "日", "本", "24h"]),
        ("ありがとう!", ["あ", "り", "が", "と", "う", "!"]),
        ("हिन्दी की किताब", ["हिन्दी", "की", "किताब"]),
        ("شُكرًا لك", ["شُكرًا", "لك"]),
        ("no!!! ok\t", ["no", "!", "!", "!", "ok"]),
        (" \n", []),
        ("", []),
        ("🙂", ["🙂"]),
    ],
)
def test_words_are_those_of_the_model(text: str, words: list[str]) -> None:
    """Letters, marks and digits together; signs, and characters of writing without spaces, each by itself."""
    parts = list(explain_module._words(0, "m", text))
    assert [part[1] for part in parts] == [f"“{word}”" for word in words]
    assert all(len(part[3] or "") == len(text) - len(word) + 1 for part, word in zip(parts, words, strict=True))
