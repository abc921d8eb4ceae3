"""Every shipped example has a model file in order, and the module that makes its data."""

import importlib
from pathlib import Path

import pytest

from models.errors import InputError
from models.modelfile import read_model_file
from tasks.examples.shipped import EXAMPLES, SPECS, Example, find_example


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=list(EXAMPLES))
def test_the_model_file_of_an_example_is_in_order(example: Example) -> None:
    read = read_model_file(example.model_file)
    assert read.name == example.name
    assert callable(importlib.import_module(f"tasks.examples.{example.name.replace('-', '_')}").make)


def test_every_shipped_model_file_is_an_example() -> None:
    assert {path.stem for path in SPECS.glob("*.toml")} == set(EXAMPLES)


def test_an_example_is_made_under_the_name_that_is_asked_for(tmp_path: Path) -> None:
    path = find_example("digits").make(tmp_path, "digits-2")
    read = read_model_file(path)
    assert (path, read.name) == (tmp_path / "digits-2.toml", "digits-2")
    assert (tmp_path / EXAMPLES["digits"].scored).is_file()
    assert all(Path(source.uri).is_file() for source in read.sources)


def test_an_unknown_example_is_one_line_with_a_hint() -> None:
    with pytest.raises(InputError) as caught:
        find_example("digit")
    assert caught.value.problems == ("'digit': no such example; did you mean 'digits'?",)
