"""Hashes are the same for ever: across chunks, formats and releases."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data import hashing
from tasks.data.hashing import NULL, hash_rows, hash_values, mix, unit_interval

GOLDEN_TEXTS = ["0000000000000000", "fd90540fe6a96dd7", "f0d88da3712b3431", "eac72edb6cfbcc34", "fba1148471fdcd62"]
GOLDEN_NUMBERS = ["0000000000000000", "2a5cf130132ea644", "07f8f99e6d9ff4fd", "c769a4eef34c57e1"]
GOLDEN_ROW = ["45cf72845326ba0a"]


def test_hashes_never_change() -> None:
    texts = pa.array(["", "7", "key-1", "ä", "a longer text with spaces"])
    numbers = pa.array([0.0, 1.0, -1.5, 1e30])
    assert [f"{value:016x}" for value in hash_values(texts)] == GOLDEN_TEXTS
    assert [f"{value:016x}" for value in hash_values(numbers)] == GOLDEN_NUMBERS
    assert [f"{value:016x}" for value in hash_rows(pa.table({"a": ["x"], "b": [2.0]}), ["a", "b"])] == GOLDEN_ROW


def test_mix_is_splitmix64() -> None:
    """First outputs of the reference generator with seed 1234567, https://prng.di.unimi.it/splitmix64.c."""
    step = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + step * i) % 2**64 for i in (1, 2, 3)], dtype=np.uint64)
    assert mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_equal_values_of_other_types_have_one_hash() -> None:
    assert hash_values(pa.array([7, 0], pa.int64())).tolist() == hash_values(pa.array([7.0, -0.0])).tolist()
    assert hash_values(pa.array([0.1], pa.float32())) == hash_values(pa.array([0.1], pa.float64()))
    assert (
        hash_values(pa.array(["x", None, "y"]).dictionary_encode()).tolist()
        == hash_values(pa.array(["x", None, "y"], pa.large_string())).tolist()
    )
    assert hash_values(pa.array([np.nan])) == hash_values(pa.array([-np.nan]))


def test_null_is_a_value_of_its_own() -> None:
    assert hash_values(pa.array([None, 0.0])).tolist()[0] == NULL != hash_values(pa.array([0.0]))[0]
    assert hash_values(pa.array([None, ""], pa.string())).tolist()[0] == NULL


def test_the_order_of_columns_and_their_borders_matter() -> None:
    table = pa.table({"a": ["x", "xy"], "b": ["yz", "z"]})
    one, other = hash_rows(table, ["a", "b"])
    assert one != other
    assert hash_rows(table, ["b", "a"])[0] != one


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=40), st.integers(0, 40))
def test_chunks_and_slices_make_no_difference(texts: list[str | None], cut: int) -> None:
    whole = pa.array(texts, pa.string())
    chunked = pa.chunked_array([whole.slice(0, cut), whole.slice(cut)])
    assert (
        hash_values(chunked).tolist()
        == hash_values(whole).tolist()
        == [hash_values(pa.array([t], pa.string()))[0] for t in texts]
    )


@given(st.sets(st.text(max_size=6), max_size=200))
def test_distinct_texts_have_distinct_hashes(texts: set[str]) -> None:
    assert len(set(hash_values(pa.array(sorted(texts), pa.string())).tolist())) == len(texts)


def test_hashes_spread_evenly() -> None:
    """Chi-squared with 99 degrees of freedom: below 149 with probability .999."""
    for values in (pa.array([str(i) for i in range(100_000)]), pa.array(np.arange(100_000, dtype=np.float64))):
        place = unit_interval(hash_rows(pa.table({"k": values}), ["k"]))
        observed = np.histogram(place, 100, (0, 1))[0]
        assert ((observed - 1000) ** 2 / 1000).sum() < 149


def stored(rows: list[bytes | None], width: int) -> pa.Array:
    return pa.array(rows, pa.binary(width))


def plain_hash(row: bytes) -> int:
    """By the definition, in whole numbers of Python: the mixed words of 8 bytes at their places, and the width."""

    def mixed(value: int) -> int:
        return int(mix(np.array([value % 2**64], dtype=np.uint64))[0])

    step = 0x9E3779B97F4A7C15
    words = [int.from_bytes(row[start : start + 8], "little") for start in range(0, len(row), 8)]
    return mixed(sum(mixed(word + (place + 1) * step) for place, word in enumerate(words)) + len(row) * step)


@given(st.integers(1, 40).flatmap(lambda width: st.lists(st.binary(min_size=width, max_size=width), min_size=1)))
def test_bytes_are_hashed_by_words_and_width(rows: list[bytes]) -> None:
    assert hash_values(stored(list(rows), len(rows[0]))).tolist() == [plain_hash(row) for row in rows]


@given(st.lists(st.one_of(st.none(), st.binary(min_size=11, max_size=11)), max_size=30), st.integers(0, 30))
def test_chunks_and_slices_of_bytes_make_no_difference(rows: list[bytes | None], cut: int) -> None:
    whole = stored(rows, 11)
    chunked = pa.chunked_array([whole.slice(0, cut), whole.slice(cut)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "BYTES_AT_ONCE", 25)
        few_at_once = hash_values(whole).tolist()
    assert hash_values(chunked).tolist() == hash_values(whole).tolist() == few_at_once
    assert hash_values(whole.slice(cut)).tolist() == few_at_once[cut:]
    assert [value == NULL for value in few_at_once] == [row is None for row in rows]


@pytest.mark.parametrize("width", [1, 7, 8, 9, 3000])
def test_one_other_byte_is_another_hash(width: int) -> None:
    whole = bytes(range(256)) * (width // 256 + 1)
    rows = [whole[:width]] + [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 : width] for i in range(width)]
    assert len(set(hash_values(stored(list(rows), width)).tolist())) == width + 1


@pytest.mark.filterwarnings("error")
def test_bytes_are_hashed_without_a_warning() -> None:
    assert hash_values(stored([b"abc"], 3))[0] != hash_values(stored([b"abc\0"], 4))[0]
