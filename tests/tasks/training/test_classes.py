import numpy as np
import pyarrow as pa
import pytest

from models.errors import InputError
from models.sections import Target
from tasks.training.classes import order_classes


def rows(*values: str) -> pa.Table:
    return pa.table({"y": pa.array(values).dictionary_encode()})


def everywhere(count: int) -> np.ndarray:
    return np.ones(count, dtype=bool)


def test_the_rarer_class_is_positive_and_second() -> None:
    assert order_classes(Target(column="y"), rows("a", "b", "b"), everywhere(3), "binary") == ("b", "a")


def test_rarity_is_counted_in_the_training_rows_alone() -> None:
    training = np.array([True, True, True, False, False, False])
    table = rows("a", "a", "b", "b", "b", "b")
    assert order_classes(Target(column="y"), table, training, "binary") == ("a", "b")


def test_of_equally_frequent_classes_the_later_in_the_alphabet_is_positive() -> None:
    assert order_classes(Target(column="y"), rows("1", "0"), everywhere(2), "binary") == (0, 1)
    assert order_classes(Target(column="y"), rows("True", "False"), everywhere(2), "binary") == (False, True)


def test_the_stated_class_is_positive() -> None:
    assert order_classes(Target(column="y", positive="b"), rows("a", "b", "b"), everywhere(3), "binary") == ("a", "b")


def test_a_stated_class_that_does_not_occur_is_an_error_that_lists_those_that_do() -> None:
    with pytest.raises(InputError, match="'c' does not occur; 'y' has 'a', 'b'"):
        order_classes(Target(column="y", positive="c"), rows("a", "b"), everywhere(2), "binary")


def test_whole_numbers_are_sorted_as_numbers() -> None:
    assert order_classes(Target(column="y"), rows("10", "9", "-1"), everywhere(3), "multiclass") == (-1, 9, 10)


def test_a_class_that_only_later_rows_have_is_a_class_too() -> None:
    training = np.array([True, True, False])
    assert order_classes(Target(column="y"), rows("a", "b", "c"), training, "multiclass") == ("a", "b", "c")


def test_a_regression_has_no_classes() -> None:
    assert order_classes(Target(column="y"), pa.table({"y": [1.0]}), everywhere(1), "regression") == ()
