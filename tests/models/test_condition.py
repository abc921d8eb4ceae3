"""What a condition may say, and what is told about one that says something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.classes import Classes
from models.condition import (
    Comparison,
    Junction,
    Negation,
    Output,
    condition_problems,
    outputs_of,
    parse_condition,
)

TEXTS: Classes = ("refund", "cancel", "a b")


def problems(text: str, classes: Classes = TEXTS) -> list[str]:
    return list(condition_problems(parse_condition(text), classes))


def refusal(text: str) -> str:
    with pytest.raises(ValueError) as caught:
        parse_condition(text)
    return str(caught.value)


def test_a_condition_is_read_as_it_is_written() -> None:
    label = Comparison(Output("label"), "==", ("refund",))
    likely = Comparison(Output("probability"), ">=", (0.9,))
    assert parse_condition('label == "refund" and probability >= 0.9') == Junction("and", (label, likely))
    assert parse_condition("not (label == 'refund' or .9 <= probability)") == Negation(Junction("or", (label, likely)))
    assert parse_condition("-1 < value <= 2.5") == Junction(
        "and", (Comparison(Output("value"), ">", (-1,)), Comparison(Output("value"), "<=", (2.5,)))
    )
    assert parse_condition('label not in ("a", "b")') == Comparison(Output("label"), "not in", ("a", "b"))
    assert parse_condition('probability["a b"] > probability_refund') == Comparison(
        Output("probability_a b"), ">", Output("probability_refund")
    )
    assert parse_condition("probability[true] > probability[3]").output == Output("probability_True")  # type: ignore[union-attr]


def test_a_condition_may_go_over_several_lines_with_comments() -> None:
    text = 'label == "refund"   # money back\n  and probability >= 0.9'
    assert parse_condition(text) == parse_condition('label == "refund" and probability >= 0.9')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "() is no comparison; write one such as"),
        ("label", "label is no comparison"),
        ("true", "true is no comparison"),
        ("label = 'refund'", "Maybe you meant '=='"),
        ("label == 'refund", "not a condition (unterminated string"),
        ("(probability > 0.5) & (value > 1)", "is no comparison"),
        ("probability + 1 > 0.5", "probability + 1 can't be compared"),
        ("probability > 0.5 if label == 'a' else value > 1", "is no comparison"),
        ("label.upper() == 'A'", "label.upper() can't be compared"),
        ("__import__('os').system('true') == 0", "can't be compared"),
        ("(lambda: 1)() == 1", "can't be compared"),
        ("[x for x in label] == 1", "can't be compared"),
        ("label == f'{value}'", "can't be compared"),
        ("label == b'refund'", "can't be compared"),
        ("label == None", "None can't be compared"),
        ("label is 'refund'", "'is' is not for conditions; write == or !="),
        ("label == -'a'", "can't be compared"),
        ("value == -true", "can't be compared"),
        ("value > 1j", "1j can't be compared"),
        ("1 < 2", "1 and 2 are both given; compare an output"),
        ("label in 'refund'", "after 'in' give a list"),
        ("label in []", "after 'in' give a list"),
        ("label in [refund]", "put texts in quotes"),
        ("label in {'refund'}", "after 'in' give a list"),
        ("'refund' in label", "'refund' is given; an output stands before 'in'"),
        ("label == ['refund']", "['refund'] can't be compared"),
        ("probability[refund] > 0.5", 'put the class in quotes, as in probability["refund"]'),
        ("probability[1:2] > 0.5", "can't be compared"),
        ("value['a'] > 0.5", "can't be compared"),
        ("(x := value) > 1", "can't be compared"),
        ("value > 1, value < 2", "is no comparison"),
        ("not " * 60 + "value > 1", "nested too deeply"),
        ("(" * 1000 + "value > 1" + ")" * 1000, "too many nested parentheses"),
        ("value > 1\0", "not a condition (source code string cannot contain null bytes)"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, told: str) -> None:
    assert told in refusal(text) and "\n" not in refusal(text)


@given(st.text(max_size=40) | st.text("label probability_<>=!()[]\"'.0123456789andorint,-", max_size=40))
def test_no_text_ends_in_anything_but_a_condition_or_a_plain_refusal(text: str) -> None:
    try:
        found = parse_condition(text)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        list(condition_problems(found, TEXTS))


@pytest.mark.parametrize(
    ("text", "classes", "told"),
    [
        ("lable == 'refund'", TEXTS, ["there is no output 'lable'; did you mean 'label'?"]),
        ("label == refund", TEXTS, ["refund is a class; put it in quotes"]),
        ("prob_cancel > 0", TEXTS, ["there is no output 'prob_cancel'; did you mean 'probability_cancel'?"]),
        ("label == 'refnd'", TEXTS, ["no class is 'refnd'; did you mean 'refund'?"]),
        ("label in ['refund', 'x']", TEXTS, ["no class is 'x'; known are refund, cancel, a b"]),
        ("label == 3", TEXTS, ["label is a text in quotes, which 3 is not"]),
        ("label == '3'", (1, 3), ["label is a whole number, which '3' is not"]),
        ("label == true", (1, 3), ["label is a whole number, which True is not"]),
        ("label == 1", (False, True), ["label is true or false, which 1 is not"]),
        ("label > 'a'", TEXTS, ["label has no order, so that > says nothing; use == or in"]),
        ("label >= 1000000000000000000000000", (1, 3), ["label is never as large as 1000000000000000000000000"]),
        ("label == probability", TEXTS, ["label is compared with classes alone, not with other outputs"]),
        ("probability == 'refund'", TEXTS, ["probability is a number, which 'refund' is not"]),
        ("probability > 90", TEXTS, ["probability lies between 0 and 1; 90 does not"]),
        ("label == 'refund'", (), ["there is no output 'label'; known are value"]),
        ("value > true", (), ["value is a number, which True is not"]),
        ("value > 1e39", (), ["value is a float32, for which 1e+39 is too large"]),
        ("value > 1", TEXTS, ["there is no output 'value'; known are label, probability, probability_refund, "
                              "probability_cancel, probability_a b"]),
        ("not (value > 1 or lable == 'x')", (), ["there is no output 'lable'; did you mean 'value'?"]),
    ],
)  # fmt: skip
def test_names_classes_and_types_must_be_those_of_the_predictions(text: str, classes: Classes, told: list[str]) -> None:
    assert problems(text, classes) == told


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ('label == "refund" and probability >= 0.9', TEXTS),
        ('probability["a b"] > 0', TEXTS),
        ("3 <= label < 5 and label != 4 and probability_3 < 1", (3, 4)),
        ("label == true and probability[true] > .5 and probability_False < .5", (False, True)),
        ("value not in (1, 2.5) and value > -1", ()),
    ],
)
def test_what_fits_the_predictions_has_no_problems(text: str, classes: Classes) -> None:
    assert problems(text, classes) == []


def test_outputs_are_named_as_in_the_predictions() -> None:
    assert outputs_of((True, False)) == ("label", "probability", "probability_True", "probability_False")
    assert outputs_of(()) == ("value",)
