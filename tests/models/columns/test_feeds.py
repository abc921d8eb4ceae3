"""Raw cells of any type become values of the kind, or are refused with a reason; never a crash, never another value."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.columns import KINDS
from models.columns.kind import Parsed
from models.columns.number.statistics import fit_number

MARKS = ("?", "NA")


def parse(kind: str, values: pa.Array, **settings: object) -> Parsed:
    return KINDS[kind].parse(values, KINDS[kind].settings(**settings), MARKS)


def refused(parsed: Parsed) -> dict[str, list[int]]:
    return {refusal.reason: np.flatnonzero(refusal.rows).tolist() for refusal in parsed.refusals}


ARRAYS = [
    pa.array(["1", "x", None, "", "?", "2020-01-01", "true", "1e999"]),
    pa.array(["1", None, "x"]).dictionary_encode(),
    pa.array(["a"], pa.large_string()),
    pa.array(["a"], pa.string_view()),
    pa.array([1, None, -3], pa.int64()),
    pa.array([2**63], pa.uint64()),
    pa.array([1.5, None, float("nan"), float("inf"), -float("inf")]),
    pa.array([1.5], pa.float16()),
    pa.array([Decimal("1.25"), None]),
    pa.array([True, None]),
    pa.nulls(3),
    pa.array([[1], None]),
    pa.array([{"a": 1}]),
    pa.array([b"x", None]),
    pa.array([dt.date(2020, 1, 1), None]),
    pa.array([dt.datetime(2020, 1, 1), None]),
    pa.array([dt.datetime(2020, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")), None]),
    pa.array([dt.time(1)]),
    pa.array([dt.timedelta(1)]),
    pa.array([], pa.string()),
    pa.array([], pa.float64()),
]


CELLS = [name for name, kind in KINDS.items() if not kind.shape(kind.settings())]
"""Kinds whose values are single cells."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.type}-{len(array)}")
def test_every_type_is_parsed_or_refused(kind: str, array: pa.Array) -> None:
    for raw in (array, pa.chunked_array([array, array]), array.slice(len(array) // 2)):
        parsed = parse(kind, raw)
        assert parsed.values.type == KINDS[kind].arrow_type(KINDS[kind].settings())
        assert len(parsed.values) == len(raw)
        for refusal in parsed.refusals:
            assert refusal.rows.shape == (len(raw),)
            assert not np.asarray(parsed.values.is_valid())[refusal.rows].any()
        settings = KINDS[kind].settings()
        assert KINDS[kind].to_input(parsed.values, settings).shape == (len(raw), *KINDS[kind].shape(settings))
        assert KINDS[kind].fit([parsed.values], settings).count == len(raw)


@pytest.mark.parametrize("kind", CELLS)
@given(texts=st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=15))
def test_any_text_is_a_value_missing_or_refused(kind: str, texts: list[str | None]) -> None:
    parsed = parse(kind, pa.array(texts, pa.string()))
    wrong = {row for rows in refused(parsed).values() for row in rows}
    for row, text in enumerate(texts):
        missing = text is None or text.strip(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0") in ("", *MARKS)
        if missing:
            assert row not in wrong and parsed.values[row].as_py() is None


def test_numbers_of_all_types_and_texts() -> None:
    assert parse("number", pa.array([" 1.5 ", "-2", "1e3", "?", "", None])).values.to_pylist() == [
        1.5,
        -2,
        1000,
        None,
        None,
        None,
    ]
    assert parse("number", pa.array([Decimal("1.25"), None])).values.to_pylist() == [1.25, None]
    assert parse("number", pa.array([True, False])).values.to_pylist() == [1, 0]
    mixed = parse("number", pa.array(["1", "one", "NaN", "Infinity", "1e39"]))
    assert mixed.values.to_pylist()[0] == 1
    assert mixed.values[2].as_py() is None
    assert refused(mixed)["wrong type"] == [1]
    assert refused(mixed)["not finite"] == [3, 4]


@given(st.lists(st.one_of(st.text("0123456789+-.eEinfaINFA xyX_()", max_size=7), st.floats().map(str)), max_size=8))
def test_a_bad_number_changes_nothing_about_the_others(texts: list[str]) -> None:
    together = parse("number", pa.array([*texts, "bad"], pa.string()))
    for row, text in enumerate(texts):
        alone = parse("number", pa.array([text], pa.string()))
        assert alone.values[0].as_py() == together.values[row].as_py()
        assert set(refused(alone)) == {reason for reason, rows in refused(together).items() if row in rows}


def test_numbers_out_of_range_are_refused_and_the_bounds_are_in() -> None:
    parsed = parse("number", pa.array([0.0, -0.1, 10.0, 10.1, None]), min=0, max=10)
    assert refused(parsed) == {"out of range": [1, 3]}
    assert parsed.values.to_pylist() == [0, None, 10, None, None]


def test_number_inputs_are_float32_with_nan() -> None:
    fed = KINDS["number"].to_input(pa.array([0.1, None]), KINDS["number"].settings())
    assert fed.dtype == np.float32 and fed[0] == np.float32(0.1) and np.isnan(fed[1])


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60))
def test_number_statistics_are_those_of_numpy(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    found = fit_number(np.append(array, np.float32(np.nan)))
    assert found.median == np.median(array.astype(np.float64))
    assert found.quantiles[0] == array.min() and found.quantiles[-1] == array.max()
    assert (found.count, found.missing) == (len(values) + 1, 1)
    assert found.scale > 0 and all(low < high for low, high in zip(found.edges, found.edges[1:], strict=False))


def test_categories_are_trimmed_and_equal_numbers_are_one_value() -> None:
    assert parse("category", pa.array([" a ", "a", "?", "ä"])).values.to_pylist() == ["a", "a", None, "ä"]
    assert parse("category", pa.array([1.0, 1.5, float("nan"), None])).values.to_pylist() == ["1", "1.5", None, None]
    assert parse("category", pa.array([1, 2])).values.to_pylist() == ["1", "2"]
    assert parse("category", pa.array([True, None])).values.to_pylist() == ["true", None]
    merged = parse("category", pa.array(["a", " a", "b "])).values
    assert merged.dictionary.to_pylist() == ["a", "b"]


def test_long_and_nested_categories_are_refused() -> None:
    parsed = parse("category", pa.array(["abc", "abcd", None]), max_characters=3)
    assert (parsed.values.to_pylist(), refused(parsed)) == (["abc", None, None], {"too long": [1]})
    assert refused(parse("category", pa.array([[1], None]))) == {"wrong type": [0]}


def test_category_codes_and_inputs_agree_with_the_vocabulary() -> None:
    kind, settings = KINDS["category"], KINDS["category"].settings(min_count=2, max_values=2)
    values = pa.array(["b", "a", "b", "a", "c", "c", "c", "d", None]).dictionary_encode()
    found = kind.fit([values], settings)
    assert (found.vocabulary, found.counts, found.rare, found.missing) == (("c", "a"), (3, 2), 3, 1)
    assert kind.encode(values, settings, found).tolist() == [1, 3, 1, 3, 2, 2, 2, 1, 0]
    assert kind.encode(pa.array(["zz", None, "a"]), settings, found).tolist() == [1, 0, 3]
    assert kind.to_input(values, settings).tolist() == ["b", "a", "b", "a", "c", "c", "c", "d", ""]


def test_booleans_in_all_their_words() -> None:
    yes, no = ["true", "T", "YES", "y", "1", "1.0", "On"], ["false", "F", "No", "n", "0", "0.0", "OFF"]
    assert parse("boolean", pa.array(yes)).values.to_pylist() == [True] * 7
    assert parse("boolean", pa.array(no)).values.to_pylist() == [False] * 7
    assert parse("boolean", pa.array([0, 1, None])).values.to_pylist() == [False, True, None]
    assert parse("boolean", pa.array([1.0, float("nan")])).values.to_pylist() == [True, None]
    assert refused(parse("boolean", pa.array(["maybe", "1", "2"]))) == {"wrong type": [0, 2]}
    fed = KINDS["boolean"].to_input(pa.array([True, False, None]), KINDS["boolean"].settings())
    assert fed[:2].tolist() == [1, 0] and np.isnan(fed[2])
    assert KINDS["boolean"].fit([pa.array([True, True, None])], KINDS["boolean"].settings()).true == 2


def instants(*texts: str | None) -> list[pd.Timestamp | None]:
    return [None if text is None else pd.Timestamp(text) for text in texts]


def test_iso_dates_with_and_without_offsets() -> None:
    raw = pa.array(["2024-07-01", "2024-07-01T12:00:00+02:00", "2024-07-01 12:00Z", "?", "soon"])
    parsed = parse("datetime", raw, timezone="Europe/Berlin")
    expected = instants("2024-06-30T22:00Z", "2024-07-01T10:00Z", "2024-07-01T12:00Z", None, None)
    assert parsed.values.to_pylist() == expected
    assert refused(parsed) == {"wrong type": [4]}


def test_dates_in_a_stated_format() -> None:
    parsed = parse("datetime", pa.array(["31.12.2024 23:30", "12/31/2024"]), format="%d.%m.%Y %H:%M")
    assert parsed.values.to_pylist() == instants("2024-12-31T23:30Z", None)
    assert refused(parsed) == {"wrong type": [1]}


@pytest.mark.parametrize(("unit", "factor"), [("unix", 1), ("unix_ms", 1_000), ("unix_us", 1_000_000)])
def test_unix_stamps(unit: str, factor: int) -> None:
    numbers = [1_700_000_000 * factor, None]
    expected = [pd.Timestamp(1_700_000_000, unit="s", tz="UTC"), None]
    assert parse("datetime", pa.array(numbers), format=unit).values.to_pylist() == expected
    assert parse("datetime", pa.array([str(numbers[0]), None]), format=unit).values.to_pylist() == expected
    assert refused(parse("datetime", pa.array(["x"]), format=unit)) == {"wrong type": [0]}


def test_numbers_without_a_unit_are_no_dates() -> None:
    assert refused(parse("datetime", pa.array([1, None]))) == {"wrong type": [0]}


def test_arrow_dates_and_stamps() -> None:
    assert parse("datetime", pa.array([dt.date(2024, 1, 1)]), timezone="Asia/Tokyo").values.to_pylist() == instants(
        "2023-12-31T15:00Z"
    )
    aware = pa.array([dt.datetime(2024, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))])
    assert parse("datetime", aware, timezone="Europe/Berlin").values.to_pylist() == instants("2023-12-31T15:00Z")


def test_clock_times_that_a_change_skips_or_doubles_are_read() -> None:
    raw = pa.array(["2024-03-31 02:30", "2024-10-27 02:30"])
    parsed = parse("datetime", raw, timezone="Europe/Berlin")
    assert parsed.values.to_pylist() == instants("2024-03-31T01:00Z", "2024-10-27T00:30Z")


def test_the_input_is_the_local_clock_in_seconds() -> None:
    settings = KINDS["datetime"].settings(timezone="America/New_York")
    stamps = pa.array([pd.Timestamp("2024-07-01T12:00Z"), None], pa.timestamp("us", tz="UTC"))
    fed = KINDS["datetime"].to_input(stamps, settings)
    assert fed[0] == pd.Timestamp("2024-07-01T08:00").timestamp() and np.isnan(fed[1])
    found = KINDS["datetime"].fit([stamps], settings)
    assert (found.first, found.last, found.missing) == (fed[0], fed[0], 1)


def test_dates_far_away_are_refused_or_read_but_never_wrapped() -> None:
    parsed = parse("datetime", pa.array(["9999-12-31", "1800-01-01", "99999-01-01"]))
    assert parsed.values.to_pylist()[:2] == [
        dt.datetime(9999, 12, 31, tzinfo=dt.UTC),
        dt.datetime(1800, 1, 1, tzinfo=dt.UTC),
    ]
    assert refused(parsed) == {"wrong type": [2]}
    far = parse("datetime", pa.array([1e18, 1e300]), format="unix")
    assert far.values.null_count == 2 and refused(far) == {"out of range": [0, 1]}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_each_accepted_instant_reaches_the_graph(zone: str) -> None:
    settings = KINDS["datetime"].settings(timezone=zone)
    parsed = parse("datetime", pa.array(["0002-01-01", "1600-01-01", "9999-12-30", None]), timezone=zone)
    assert parsed.refusals == ()
    fed = KINDS["datetime"].to_input(parsed.values, settings)
    assert fed[:3].tolist() == [
        np.datetime64(day, "s").astype(int) for day in ("0002-01-01", "1600-01-01", "9999-12-30")
    ]
    assert KINDS["datetime"].fit([parsed.values], settings).last == fed[2]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_stamps_outside_the_years_1_to_9999_are_refused(unit: str, zone: str | None) -> None:
    day = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}[unit]
    stamps = pa.array([0, -719_163 * day, 2_932_897 * day, 2**62, -(2**62), None], pa.timestamp(unit, zone))
    parsed = parse("datetime", stamps)
    assert refused(parsed) == {"out of range": [1, 2, 3, 4]}
    assert parsed.values.to_pylist() == instants("1970-01-01T00:00Z", *[None] * 5)
    assert refused(parse("datetime", pa.array([2**31 - 1], pa.date32()))) == {"out of range": [0]}


def test_an_offset_may_be_short_may_change_and_may_be_absent() -> None:
    raw = pa.array(["2024-03-31 01:30:00+01", "2024-03-31 03:30:00+02", "2024-03-31 03:30:00", "2024-03-31T01:30Z"])
    parsed = parse("datetime", raw, timezone="Europe/Berlin")
    expected = instants("2024-03-31T00:30Z", "2024-03-31T01:30Z", "2024-03-31T01:30Z", "2024-03-31T01:30Z")
    assert (parsed.values.to_pylist(), parsed.refusals) == (expected, ())
    assert parse("datetime", pa.array(["2024-01", "2024-01-02"])).values.to_pylist() == instants(
        "2024-01-01T00:00Z", "2024-01-02T00:00Z"
    )
    stated = parse("datetime", pa.array(["1.7.2024 12+0200", "1.7.2024 12-0100", "x"]), format="%d.%m.%Y %H%z")
    assert stated.values.to_pylist() == instants("2024-07-01T10:00Z", "2024-07-01T13:00Z", None)
    assert refused(stated) == {"wrong type": [2]}


@pytest.mark.parametrize("pattern", [None, "%Y-%m-%d"])
def test_words_for_the_current_time_are_no_dates(pattern: str | None) -> None:
    assert refused(parse("datetime", pa.array(["now", "Today", "2024-01-01"]), format=pattern)) == {
        "wrong type": [0, 1]
    }


def test_a_unix_count_may_be_missing_in_any_way() -> None:
    counted = parse("datetime", pa.array([float("nan"), None, float("inf"), 0.5]), format="unix")
    assert refused(counted) == {"out of range": [2]}
    assert counted.values.to_pylist() == instants(None, None, None, "1970-01-01T00:00:00.5Z")


def test_one_value_is_one_category_whatever_type_the_file_stored() -> None:
    texts = pa.array(["1.0", "True", "-2.00", "FALSE", " 1 ", "true", "-0.0"])
    assert parse("category", texts).values.to_pylist() == ["1", "true", "-2", "false", "1", "true", "0"]
    assert parse("category", pa.array([1.0, -2.0, -0.0, 1e16, 0.1])).values.to_pylist() == [
        "1", "-2", "0", "1e+16", "0.1",
    ]  # fmt: skip
    assert parse("category", pa.array([0.1], pa.float32())).values.to_pylist() == ["0.1"]
    assert parse("category", pa.array([Decimal("1.00"), Decimal("1.25")])).values.to_pylist() == ["1", "1.25"]
    merged = parse("category", pa.array(["1", "1.0", "1.00"])).values
    assert merged.dictionary.to_pylist() == ["1"]


@pytest.mark.parametrize("code", ["007", "007.0", "1.10", "1.", ".0", "v1.0", "1.0.0", "tRUE", "12345678901234567.0"])
def test_a_text_that_no_number_or_boolean_prints_stays_as_it_is(code: str) -> None:
    assert parse("category", pa.array([code])).values.to_pylist() == [code]


def test_a_missing_mark_is_found_in_any_spelling_of_its_number() -> None:
    settings = KINDS["category"].settings()
    for mark in ("-999", "-999.0"):
        for raw in (pa.array(["-999.0", "1"]), pa.array([-999.0, 1.0])):
            assert KINDS["category"].parse(raw, settings, (mark,)).values.to_pylist() == [None, "1"]


@given(st.lists(st.floats(allow_infinity=False, allow_nan=False), max_size=10))
def test_floats_and_their_prints_are_the_same_categories(numbers: list[float]) -> None:
    read, printed = (
        parse("category", column).values.to_pylist()
        for column in (pa.array(numbers, pa.float64()), pa.array([repr(number) for number in numbers], pa.string()))
    )
    assert read == printed
