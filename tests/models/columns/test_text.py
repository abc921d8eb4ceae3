"""Texts become the same tokens in Arrow and in the graph, whatever is written in them, and train to a model."""

import datetime as dt
import os
import random
import re
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.columns.kind import Parsed
from models.columns.text.characters import ALONE, SEPARATOR, code_of
from models.columns.text.counting import Counter
from models.columns.text.feed import TextSettings
from models.columns.text.statistics import TextStatistics
from models.columns.text.tokens import BASE, spellings, spelt
from models.sections import DEFAULT_MISSING
from tests.models.columns.texts import ALL, KIND, TEXTS, encode, fit, rows, run

os.environ["ORT_DISABLE_TELEMETRY"] = "1"


MARKS = ("NA", "?")


def parse(values: pa.Array, **options: Any) -> Parsed:
    return KIND.parse(values, TextSettings(**options), MARKS)


def graph(statistics: TextStatistics, settings: TextSettings = ALL) -> Any:
    nodes = KIND.graph_nodes("x", "y", settings, statistics)
    assert all(name == "y" or name.startswith("y/") for node in nodes for name in node.output)
    inputs = [helper.make_tensor_value_info("x", TensorProto.STRING, ["n"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", "l"])]
    opsets = [helper.make_opsetid(*pair) for pair in (("", 20), ("ai.onnx.ml", 3), ("com.microsoft", 1))]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opsets, ir_version=10)


def in_graph(texts: list[str | None], statistics: TextStatistics) -> list[list[int]]:
    feed = KIND.to_input(pa.array(texts, pa.string()), ALL)
    return without_padding(run(graph(statistics), {"x": feed}))


def without_padding(ids: NDArray[np.int32]) -> list[list[int]]:
    return [row[: np.flatnonzero(row).max(initial=-1) + 1].tolist() for row in ids]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (pa.array([" a b ", "", "  ", None, "NA", "say NA", "?"]), ["a b", None, None, None, None, "say NA", None]),
        (pa.array(["b", None]).dictionary_encode(), ["b", None]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([1, None]), ["1", None]),
        (pa.array([1.0, 2.5, float("nan")]), ["1", "2.5", None]),
        (pa.array(["1.0", "True"]), ["1", "true"]),
        (pa.array([Decimal("1.25")]), ["1.25"]),
        (pa.array([True]), ["true"]),
        (pa.array([dt.date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.nulls(2), [None, None]),
        (pa.array(["e\u0301"]), ["\u00e9"]),
        (pa.array([], pa.string()), []),
    ],
)
def test_every_flat_type_becomes_text(raw: pa.Array, expected: list[str | None]) -> None:
    parsed = parse(raw)
    assert parsed.values.type == pa.string()
    assert parsed.values.to_pylist() == expected
    assert parsed.refusals == ()
    assert parse(pa.chunked_array([raw, raw])).values.to_pylist() == expected * 2


def test_a_question_mark_alone_is_a_message_unless_the_model_file_says_otherwise() -> None:
    texts = pa.array(["?", " ? ", "??", "NA", "null"])
    assert KIND.parse(texts, ALL, DEFAULT_MISSING).values.to_pylist() == ["?", "?", "??", None, None]
    assert KIND.parse(texts, ALL, ("?",)).values.to_pylist() == [None, None, "??", "NA", "null"]
    longer = (*DEFAULT_MISSING, "-")
    assert KIND.parse(texts, ALL, longer).values.to_pylist() == ["?", "?", "??", None, None]
    assert KIND.parse(texts, ALL, ("?", "NA")).values.to_pylist() == [None, None, "??", None, "null"]


@pytest.mark.parametrize(
    ("text", "mark", "characters", "expected"),
    [
        ("nothing said", "nothing", 7, None),
        ("nothing said", "nothing said", 7, None),
        ("1.05", "", 3, "1"),
        ("Trueish", "", 4, "true"),
        ("\u212a", "K", 9, None),
        ("caf\u0065\u0301", "", 4, "caf\u00e9"),
        ("caf\u00e9", "cafe\u0301", 9, None),
    ],
)
def test_what_a_cut_or_composed_text_is_read_as(text: str, mark: str, characters: int, expected: str | None) -> None:
    cut = TextSettings(max_characters=characters)
    assert KIND.parse(pa.array([text]), cut, (mark,)).values.to_pylist() == [expected]


PARTS = st.sampled_from(
    [*MARKS, " ", "\u2000", "-0", "1", ".0", "00", "True", "e", "\u0301", "\u212a", "\u1fef", "\0", "\n"]
)


@given(st.lists(st.lists(PARTS | st.text(max_size=3), max_size=6).map("".join)), st.integers(1, 8), st.lists(PARTS))
@settings(max_examples=300, deadline=None)
def test_what_was_parsed_is_parsed_to_itself_whatever_stands_beside_it(
    texts: list[str], characters: int, marks: list[str]
) -> None:
    cut = TextSettings(max_characters=characters)
    values = KIND.parse(pa.array(texts, pa.string()), cut, tuple(marks)).values
    assert KIND.parse(values, cut, tuple(marks)).values.equals(values)
    one_by_one = [KIND.parse(pa.array([text]), cut, tuple(marks)).values[0].as_py() for text in texts]
    assert one_by_one == values.to_pylist()


@pytest.mark.parametrize("raw", [pa.array([[1], None]), pa.array([b"x", None]), pa.array([{"a": 1}, None])])
def test_nested_and_binary_values_are_refused(raw: pa.Array) -> None:
    assert not KIND.reads(raw.type, ALL)
    parsed = parse(raw)
    assert parsed.values.to_pylist() == [None, None]
    assert [(refusal.reason, refusal.rows.tolist()) for refusal in parsed.refusals] == [("wrong type", [True, False])]


def test_long_texts_are_cut_not_refused() -> None:
    parsed = parse(pa.array(["日本語 テキスト", "x" * 1_000_000]), max_characters=4)
    assert parsed.values.to_pylist() == ["日本語", "xxxx"]
    assert parsed.refusals == ()
    assert parse(pa.array([123456]), max_characters=4).values.to_pylist() == ["1234"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 3], np.int32)), pa.py_buffer(b"a\xffb")]
    )
    assert parse(broken).values.to_pylist() == ["a\N{REPLACEMENT CHARACTER}", "b"]


@given(st.lists(st.one_of(st.none(), st.text()), max_size=5))
@settings(max_examples=50, deadline=None)
def test_parsing_twice_changes_nothing(texts: list[str | None]) -> None:
    once = parse(pa.array(texts, pa.string())).values
    assert parse(once).values.equals(once)


@pytest.mark.parametrize(("upper", "lower"), ["Aa", "Üü", "Яя", "Σσ", "Σς", "Éé", "Ａａ"])
def test_both_cases_of_a_letter_have_one_code(upper: str, lower: str) -> None:
    assert code_of(upper) == code_of(lower) > SEPARATOR


def test_signs_and_unspaced_writing_stand_alone() -> None:
    assert [character for character in "aä7字かカก👍?$ \n\0" if code_of(character) >= ALONE] == list("字かカก👍?$")
    assert {code_of(character) for character in " \n\t\0\u00a0\u200b"} == {SEPARATOR}


def test_words_pairs_and_pieces_are_those_of_a_reference() -> None:
    """Words by a regular expression, pairs beside each other, pieces with a blank at one end at most."""
    texts = ["The cat sat, the CAT ran", "a cat", "on a mat"]
    statistics = fit(texts)
    found = [re.findall(r"[a-z]+|,", text.lower()) for text in texts]
    words = {word for text in found for word in text}
    pairs = {pair for text in found for pair in pairwise(text)}
    pieces = {
        piece
        for blanked in [f" {word} " for word in words]
        for n in (3, 4, 5)
        for piece in (blanked[i : i + n] for i in range(len(blanked) - n + 1))
        if not piece[0] == piece[-1] == " "
    }
    assert (len(statistics.words), len(statistics.pairs), len(statistics.pieces)) == tuple(
        map(len, (words, pairs, pieces))
    )
    ids, other = encode(["a cat", "a cats"], statistics)
    # Two words and their pair; then a word, an unknown one, and of its pieces " ca", "cat", " cat".
    assert [sum(low <= i < high for i in ids) for low, high in bounds(statistics)] == [2, 1, 0]
    assert [sum(low <= i < high for i in other) for low, high in bounds(statistics)] == [1, 0, 3]
    assert 1 in other


def bounds(s: TextStatistics) -> list[tuple[int, int]]:
    return [(2, s.first_pair), (s.first_pair, s.first_piece), (s.first_piece, s.ids)]


def test_a_key_is_the_polynomial_of_its_codes() -> None:
    expected = sum(ord(c) * pow(BASE, i, 1 << 64) for i, c in enumerate("karte")) % (1 << 64)
    framed, words = spelt(["eine", "karte"])
    assert int(words.keys.view(np.uint64)[1]) == expected
    assert spellings(framed, words, np.array([1, 0])) == ["karte", "eine"]


def test_only_the_beginning_of_a_long_word_gives_pieces() -> None:
    """Twenty different letters between blanks: 20 runs of three, 19 of four, 18 of five."""
    word = "abcdefghijklmnopqrst"
    assert [len(fit([word + rest]).pieces) for rest in ("", "uvw", "u" * 1000)] == [57, 57, 57]
    assert len(fit(["abc"]).pieces) == 5


def test_codes_of_folded_characters_are_their_own() -> None:
    """So that a word can be kept as it is spelt."""
    codes = {code_of(chr(point)) for point in range(0x110000)} - {SEPARATOR}
    assert all(code_of(chr(code & (ALONE - 1))) == code for code in codes)


def test_an_unknown_word_is_told_from_nothing() -> None:
    statistics = fit(["ab cd"])
    assert encode(["dc", None, " "], statistics) == [[1], [], []]


def test_the_most_frequent_tokens_are_kept() -> None:
    few = TextSettings(max_words=2, max_pairs=1, max_pieces=3, min_count=2)
    statistics = fit(["a b c", "b c", "c", "d"], few)
    assert (len(statistics.words), len(statistics.pairs)) == (2, 1)
    assert [min(row) for row in encode(["c", "b", "a"], statistics)] == [2, 3, 1]


def test_pieces_of_a_stream_give_what_the_whole_gives() -> None:
    texts = pa.array([*TEXTS, None] * 3)
    assert KIND.fit([texts.slice(0, 5), texts.slice(5, 0), texts.slice(5)], ALL) == KIND.fit([texts], ALL)


def test_a_counter_forgets_the_rarest_and_stays_small() -> None:
    counter = Counter(pa.int64(), limit=100)
    for start in range(0, 1000, 50):
        counter.add(pa.array([*range(5), *range(start + 10, start + 60)]))
        assert len(counter.keys) <= 100
    assert counter.most_frequent(5, min_count=2).to_pylist() == [0, 1, 2, 3, 4]


def test_a_counter_adds_weighted_strings() -> None:
    counter = Counter(pa.string(), limit=100)
    counter.add(pa.array(["b", "a"]), np.array([3, 5]))
    counter.add(pa.array(["b", "c"]), np.array([3, 5]))
    assert counter.most_frequent(9, min_count=5).to_pylist() == ["b", "a", "c"]
    assert counter.most_frequent(1, min_count=6).to_pylist() == ["b"]


def test_the_profile_tells_lengths_of_the_texts_there_are() -> None:
    profile = fit(["ab cd", "x", None, "one two three"]).profile
    assert (profile.count, profile.missing) == (4, 1)
    assert profile.mean_characters == pytest.approx((5 + 1 + 13) / 3)
    assert profile.mean_words == 2
    assert (profile.character_quantiles[0], profile.character_quantiles[10], profile.character_quantiles[-1]) == (
        1,
        5,
        13,
    )
    assert (profile.word_quantiles[0], profile.word_quantiles[-1]) == (1, 3)


def test_statistics_survive_json_and_a_column_without_texts() -> None:
    for statistics in (fit(TEXTS), fit([None, None]), KIND.fit([], ALL)):
        assert TextStatistics.model_validate_json(statistics.model_dump_json()) == statistics


@pytest.mark.parametrize("known", [TEXTS, ["my card is lost", "karte"], [None]])
def test_the_graph_finds_the_tokens_that_encode_finds(known: list[str | None]) -> None:
    statistics = fit(known)
    texts = [*TEXTS, *(text.upper() for text in TEXTS), None, "", "  ", "my card", "\0", "a" * 300]
    assert in_graph(texts, statistics) == encode(texts, statistics)


@pytest.mark.parametrize("texts", [[], [None], ["", ""], ["?"]])
def test_the_graph_takes_batches_of_nothing(texts: list[str | None]) -> None:
    found = in_graph(texts, fit(TEXTS))
    assert len(found) == len(texts)
    assert found == encode(texts, fit(TEXTS))


FUZZED = fit([*TEXTS, "the quick brown fox", "abc abc"])


FUZZED_GRAPH = graph(FUZZED)


@given(
    st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("".join(TEXTS)))), min_size=1)
)
@settings(max_examples=40, deadline=None)
def test_graph_and_encode_agree_on_any_text(texts: list[str]) -> None:
    values = parse(pa.array(texts)).values
    found = run(FUZZED_GRAPH, {"x": KIND.to_input(values, ALL)})
    assert without_padding(found) == rows(KIND.encode(values, ALL, FUZZED))


def test_every_code_point_is_read_alike_by_graph_and_encode() -> None:
    """All 1.1 million of them, in both cases, in words of two with a known letter."""
    points = [chr(point) for point in range(1, 0x3000) if not 0xD800 <= point < 0xE000]
    random.Random(0).shuffle(points)
    statistics = fit(["".join(f"a{point} " for point in points[:6000])])
    texts = [f"a{a} {b}a" for a, b in pairwise(points)]
    assert in_graph(texts, statistics) == encode(texts, statistics)
