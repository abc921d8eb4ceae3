"""The [[behaviour]] of a model file: all problems at once, in plain words."""

from pathlib import Path

import pytest

from models.behaviour import Behaviour, of_problems, task_problems
from models.errors import InputError
from models.modelfile import ModelFile
from tests.models.written import problems, read

MODEL = """
name = "m"
[[sources]]
uri = "data.csv"
[target]
column = "y"
[columns]
speed = { kind = "number", max = 5 }
words = "text"
shop = "category"
photo = "image"
made = "datetime"
"""


def entry_problems(tmp_path: Path, *tests: str) -> list[str]:
    """Of entries, each the rest of one that has a name."""
    entries = (f"[[behaviour]]\nname = 'b{i}'\n{test}\n" for i, test in enumerate(tests))
    return problems(tmp_path, MODEL + "".join(entries))


def test_a_test_is_read_with_its_defaults(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path, MODEL + '[[behaviour]]\nname = "typing"\nkind = "invariance"\nunder = "typing_errors"\n'
    ).behaviour
    assert found == Behaviour(name="typing", kind="invariance", under="typing_errors")
    assert (found.share, found.tolerance, found.set, found.replace, found.add) == (0.95, None, {}, {}, {})


def test_a_date_and_a_missing_value_can_be_set(tmp_path: Path) -> None:
    (found,) = read(
        tmp_path, MODEL + '[[behaviour]]\nname = "b"\nkind = "invariance"\nset = { made = 2024-05-06, shop = "" }\n'
    ).behaviour
    assert found.set == {"made": "2024-05-06", "shop": ""}
    assert ModelFile.model_validate_json(read(tmp_path, MODEL).model_dump_json()).behaviour == ()


def test_a_behaviour_is_part_of_what_the_file_means(tmp_path: Path) -> None:
    without = read(tmp_path, MODEL).digest()
    assert (
        read(tmp_path, MODEL + '[[behaviour]]\nname = "b"\nkind = "invariance"\nunder = "blur"\n').digest() != without
    )


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        ("kind = 'invariance'", "behaviour.0: changes nothing; give under, set, replace or add"),
        ("kind = 'direction'\nadd = { speed = 1 }", 'behaviour.0: a direction needs expect = "up" or "down"'),
        ("kind = 'other'\nadd = { speed = 1 }", "behaviour.0.kind: input should be 'invariance' or 'direction'"),
        ("kind = 'invariance'\nexpect = 'up'\nunder = 'blur'", "behaviour.0: expect and of are for a direction only"),
        ("kind = 'invariance'\nundr = 'blur'", "behaviour.0.undr: unknown key; did you mean 'under'?"),
        ("kind = 'invariance'\nunder = 'blurr'", "under: no column can be put under 'blurr'; did you mean 'blur'?"),
        (
            "kind = 'invariance'\nunder = 'blur'\nshare = 2",
            "behaviour.0.share: input should be less than or equal to 1",
        ),
        ("kind = 'invariance'\nset = { sped = 1 }", "set: 'sped' is no feature; did you mean 'speed'?"),
        ("kind = 'invariance'\nset = { speed = 7 }", "set: column 'speed' would refuse 7: out of range"),
        ("kind = 'invariance'\nset = { made = 'soon' }", "set: column 'made' would refuse 'soon': "),
        ("kind = 'invariance'\nset = { speed = [1] }", "behaviour.0.set: 'speed': give one value"),
        ("kind = 'invariance'\nset = { photo = 'a.png' }", "'photo' is of the kind image, which can be put under a"),
        ("kind = 'invariance'\nreplace = { speed = { much = 1 } }", "column 'speed' would refuse 'much': wrong type"),
        ("kind = 'invariance'\nreplace = { words = { a = 1 } }", "column 'words' is of the kind text; give parts of"),
        ("kind = 'invariance'\nadd = { speed = 'x' }", "column 'speed' is of the kind number; give a number (is 'x')"),
        ("kind = 'invariance'\nadd = { speed = inf }", "column 'speed' can't take inf; give a finite number"),
        ("kind = 'invariance'\nadd = { words = 1 }", "column 'words' is of the kind text; give words (is 1)"),
        ("kind = 'invariance'\nadd = { shop = 'x' }", "column 'shop' is of the kind category, to which nothing can be"),
    ],
)
def test_what_is_wrong_is_one_plain_line(tmp_path: Path, test: str, problem: str) -> None:
    (found,) = entry_problems(tmp_path, test)
    assert problem in found


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """Those of an entry's changes too, where its shape is wrong."""
    first = "kind = 'direction'\nset = { speed = 7, nothing = 1 }"
    found = entry_problems(
        tmp_path, first, "kind = 'invariance'\nunder = 'dark'\nname = 'b0'".replace("name = 'b0'", "")
    )
    assert len(found) == 4, found
    with pytest.raises(InputError, match="behaviour: 'b' is the name of 2; give each its own"):
        read(tmp_path, MODEL + "[[behaviour]]\nname = 'b'\nkind = 'invariance'\nunder = 'blur'\n" * 2)


def test_what_a_task_does_not_have_is_told() -> None:
    up = Behaviour(name="up", kind="direction", add={"x": 1}, expect="up")
    of = up.model_copy(update={"of": "red"})
    same = Behaviour(name="same", kind="invariance", set={"x": 1})
    assert list(task_problems([up, same], "binary")) == []
    assert list(task_problems([up, of, same], "multiclass")) == [
        "behaviour 'up': give of = CLASS, whose score must go up"
    ]
    assert list(task_problems([up, of, same], "regression")) == [
        "behaviour 'up': of is for multiclass targets only; remove it",
        "behaviour 'same': a regression has no labels; give a tolerance, in units of the target",
    ]
    assert list(of_problems([of], ["Red", "green"])) == ["behaviour 'up': of: no row is 'red'; did you mean 'Red'?"]


@pytest.mark.parametrize("section", ["[gates.f1]", "[evaluation]"])
def test_pictures_are_no_slices(tmp_path: Path, section: str) -> None:
    with pytest.raises(InputError, match="slices: 'photo' is of the kind image, whose values are no groups; remove it"):
        read(tmp_path, MODEL + f"{section}\nslices = ['shop', 'photo']\n")
