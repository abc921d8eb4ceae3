"""What may be searched, and what is said of what may not."""

from pathlib import Path

import pytest

from models.errors import InputError
from models.modelfile import ModelFile, read_model_file
from tasks.tuning.space import Choice, Range, present_values, read_space, with_values
from tests.small import write_model


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    return read_model_file(write_model(tmp_path, "space"))


def test_ranges_and_lists_are_read_in_the_type_of_their_setting(model_file: ModelFile) -> None:
    space = read_space(
        [
            "training.learning_rate=0.0005..0.01", "network.width=8..32", "training.batch_size=64,128",
            "network.dropout=0..1e-1", "training.clip=.5..2",
        ],
        model_file,
    )  # fmt: skip
    assert space == {
        "training.learning_rate": Range(0.0005, 0.01),
        "network.width": Range(8, 32),
        "training.batch_size": Choice((64, 128)),
        "network.dropout": Range(0, 0.1),
        "training.clip": Range(0.5, 2),
    }
    logarithmic = {key for key, found in space.items() if isinstance(found, Range) and found.log}
    whole = {key for key, found in space.items() if isinstance(found, Range) and found.whole}
    assert (logarithmic, whole) == ({"training.learning_rate"}, {"network.width"})


def test_all_problems_are_told_at_once(model_file: ModelFile) -> None:
    searches = {
        "training.learning_rte=1..2": "unknown setting; did you mean 'training.learning_rate'?",
        "learning_rate=0.1..1": "did you mean 'training.learning_rate'?",
        "network.width=0..5": "greater than or equal to 1",
        "network.members=1.5..2.5": "valid integer",
        "network.depth=two": "valid integer",
        "network.dropout=0.5..0.1": "the range must go up, but 0.5 is not below 0.1",
        "training.clip=0.0..2.0": "greater than 0",
        "training.patience=5,5": "a value is given twice",
        "training.balance=true,false": "changes the loss",
        "training.warm_start=true,false": "random weights",
        "training.seed": "give a range or values",
        "training.clip=": "give a range or values",
    }
    with pytest.raises(InputError) as caught:
        read_space(list(searches), model_file)
    assert len(caught.value.problems) >= len(searches)
    for text, said in searches.items():
        assert any(p.startswith(f"--search {text}: ") and said in p for p in caught.value.problems), text


def test_a_setting_is_searched_once(model_file: ModelFile) -> None:
    with pytest.raises(InputError, match="given twice"):
        read_space(["network.width=1..2", "network.width=4,5"], model_file)


def test_the_default_space_leaves_out_what_an_own_network_has_not(model_file: ModelFile) -> None:
    own = model_file.model_copy(update={"network": model_file.network.model_copy(update={"file": "mine.py"})})
    assert set(read_space([], model_file)) - set(read_space([], own)) == {"network.depth", "network.dropout"}


def test_values_take_the_place_of_those_in_the_file(model_file: ModelFile) -> None:
    changed = with_values(model_file, {"network.width": 9, "training.learning_rate": 0.5})
    assert (changed.network.width, changed.training.learning_rate) == (9, 0.5)
    assert changed.training.epochs == model_file.training.epochs == 2
    assert changed.columns == model_file.columns


def test_present_values_are_tried_where_the_space_holds_them(model_file: ModelFile) -> None:
    assert present_values(model_file, {"network.width": Range(4, 8)}) == {"network.width": 8}
    assert present_values(model_file, {"network.width": Range(4, 7)}) is None
    assert present_values(model_file, {"training.batch_size": Choice((1, 2))}) is None
