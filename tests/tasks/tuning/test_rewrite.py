"""A model file with other settings, the rest as it stands."""

import tomllib

import pytest

from models.errors import InputError
from tasks.tuning.rewrite import rewritten

TEXT = """# mine
name = "m"

[network]   # small
width = 64    # few rows
"depth" = 2
[columns]
width = "number"
[training]
epochs = 5
"""


def test_only_the_settings_change() -> None:
    told = rewritten(TEXT, {"network.width": 128, "network.depth": 3, "training.learning_rate": 0.0031})
    assert told == TEXT.replace("width = 64 ", "width = 128 ").replace('"depth" = 2', '"depth" = 3').replace(
        "[training]\n", "[training]\nlearning_rate = 0.0031\n"
    )


def test_a_section_that_is_missing_is_added() -> None:
    told = rewritten('name = "m"\n[columns]\nx = "number"\n', {"network.width": 9, "training.clip": 1e-07})
    assert tomllib.loads(told) == {
        "name": "m", "columns": {"x": "number"}, "network": {"width": 9}, "training": {"clip": 1e-07},
    }  # fmt: skip


@pytest.mark.parametrize("text", ['network = { width = 5 }\nname = "m"\n', 'training.epochs = 3\nname = "m"\n'])
def test_what_is_no_plain_section_is_refused_rather_than_damaged(text: str) -> None:
    with pytest.raises(InputError, match="as sections"):
        rewritten(text, {"network.width": 6, "training.epochs": 4})
