"""Prose is told from names, addresses, codes and words."""

import pyarrow as pa
import pytest

from tasks.data.prose import reads_as_prose

WORDS = ("card", "late", "parcel", "broken", "never", "came", "refund", "wrong", "colour", "today")
NAMES = ("Anna Maria Berg", "Owen Harris", "Ibrahim Ould Ahmed", "Jean van der Berg", "Mary Smith")


def many(pattern: str) -> list[str]:
    return [pattern.format(w=WORDS[i % 10], v=WORDS[i // 10 % 10], i=i) for i in range(200)]


@pytest.mark.parametrize(
    "texts",
    [
        many("my {w} is {v} {i}"),
        many("Where is my {w}? It was {v} on day {i}."),
        many("Die {w} Karte wurde {v} gesperrt {i}"),
        many("моя карта {w} потерялась {i}"),
        many("我的卡丢了怎么办{i}"),
        many("カードが届きません{i}"),
        many("MY {w} IS LOST AND {v} {i}"),
        many("transaction {w}{i} unsuccessful"),
        [f"The President Says That All His Friends Will Come Back {i}" for i in range(200)],
    ],
)
def test_prose_of_any_language_is_prose(texts: list[str]) -> None:
    assert reads_as_prose("message", pa.array(texts), len(texts))


@pytest.mark.parametrize(
    "texts",
    [
        [f"{name}{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(50) for name in NAMES],
        many("{i} Main Street, Springfield"),
        many("{w}.{v}{i}@example.com"),
        many("https://example.com/{w}/{v}?id={i}"),
        many("AB-{i} 77 12 X9"),
        many("M{i}"),
        many("{w}{i}"),
        [f"王小{chr(0x4E00 + i)}" for i in range(200)],
    ],
)
def test_names_addresses_and_codes_are_not(texts: list[str]) -> None:
    assert not reads_as_prose("column", pa.array(texts), len(texts))


def test_names_in_small_letters_are_told_by_the_columns_name() -> None:
    assert not reads_as_prose("customer_name", pa.array(many("anna {w} von {v}{i}")), 200)


@pytest.mark.parametrize(("rows", "prose"), [(200, True), (390, True), (1900, True), (2100, False)])
def test_texts_that_repeat_often_are_a_category(rows: int, prose: bool) -> None:
    assert reads_as_prose("message", pa.array(many("my {w} is {v} {i}")), rows) == prose


def test_a_few_sentences_in_many_rows_are_a_category() -> None:
    assert not reads_as_prose("answer", pa.array(many("my {w} is {v} {i}")[:40]), 400)
