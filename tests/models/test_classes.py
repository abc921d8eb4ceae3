import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.classes import class_codes, find_classes, typed
from models.errors import InputError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0", "1"], (0, 1)),
        (["-3", "10", "2"], (-3, 10, 2)),
        (["False", "True"], (False, True)),
        (["TRUE", "false"], (True, False)),
        (["no", "yes"], ("no", "yes")),
        (["007", "7"], ("007", "7")),
        (["1", "true"], ("1", "true")),
        (["1.0", "2.0"], ("1.0", "2.0")),
        (["true", "True", "false"], ("true", "True", "false")),
    ],
)
def test_types_of_classes(names: list[str], expected: tuple[object, ...]) -> None:
    found = typed(names)
    assert found == expected
    assert [type(name) for name in found] == [type(name) for name in expected]


def test_codes_are_positions_among_the_classes() -> None:
    values = pa.array(["b", "a", "b"]).dictionary_encode()
    assert class_codes(values, ("a", "b")).tolist() == [1, 0, 1]


def test_whole_numbers_and_booleans_are_found_by_their_text() -> None:
    assert find_classes(pa.array([3, 1]), (1, 3)).tolist() == [1, 0]
    assert find_classes(pa.array(["True", "FALSE"]), (False, True)).tolist() == [1, 0]
    assert find_classes(pa.array(["1.5", "x"]), (1, 3)).tolist() == [-1, -1]


def test_an_unknown_class_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'c' was not there in training; known are 'a', 'b'$"):
        class_codes(pa.array(["a", "c"]), ("a", "b"))


def test_of_many_classes_only_some_are_listed() -> None:
    with pytest.raises(InputError, match="known are 0, 1, 2, 3, 4 and 3 more"):
        class_codes(pa.array(["99"]), tuple(range(8)))


def test_no_rows_have_no_codes() -> None:
    assert class_codes(pa.array([], pa.string()), ("a",)).tolist() == []


@given(st.lists(st.text(), min_size=1, max_size=6, unique=True), st.data())
def test_text_classes_are_found_again(names: list[str], data: st.DataObject) -> None:
    drawn = data.draw(st.lists(st.integers(0, len(names) - 1), min_size=1))
    values = pa.array([names[i] for i in drawn])
    classes = typed(names)
    if all(isinstance(name, str) for name in classes):
        np.testing.assert_array_equal(find_classes(values, classes), drawn)
