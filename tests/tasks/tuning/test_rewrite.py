"""A model file with other settings, the rest as it stands."""

import tomllib
from pathlib import Path

import pytest

from models.errors import InputError
from tasks.tuning.plan import ask, write_best
from tasks.tuning.rewrite import rewritten
from tests.small import write_model

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


def test_what_an_earlier_search_wrote_is_written_anew_and_nothing_else(tmp_path: Path) -> None:
    file = write_model(tmp_path, "m")
    asked = ask(file, ["network.width=4..16"], None, 1, None, 0)
    written = write_best(asked, {"network.width": 5}, 0.5)
    assert written == tmp_path / "m-tuned.toml"
    again = ask(file, ["network.width=4..16"], None, 1, None, 0)
    assert "width = 6" in write_best(again, {"network.width": 6}, 0.4).read_text()
    written.write_text(written.read_text().replace('name = "m"', 'name = "mine"'))
    with pytest.raises(InputError, match="exists already"):
        ask(file, ["network.width=4..16"], None, 1, None, 0)
