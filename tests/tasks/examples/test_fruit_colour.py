import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.examples import fruit_colour
from tasks.examples.fruit_colour import COLOURS, FRUITS, SEEN, SIDE, UNSEEN, draw, make
from tasks.examples.fruit_painting import table_colour
from tests.tasks.examples.pictures import contents, decided_by_the_seed

SPEC = Path(__file__).parents[3] / "models" / "specs" / "fruit-colour.toml"
FEW = 2
"""Pictures of each fruit and colour in these tests."""


def few(folder: Path, seed: int = 0) -> Path:
    """What `make` writes, with few pictures of each fruit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fruit_colour, "SEEN", dict.fromkeys(SEEN, FEW))
        patch.setattr(fruit_colour, "UNSEEN", dict.fromkeys(UNSEEN, FEW))
        make(folder, seed)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few(tmp_path_factory.mktemp("fruit-colour"))


def test_equal_seeds_give_equal_bytes_and_others_other_pictures(made: Path, tmp_path: Path) -> None:
    assert decided_by_the_seed(few, made, tmp_path)


def test_there_are_as_many_pictures_of_each_fruit_as_planned(train: pd.DataFrame, test: pd.DataFrame) -> None:
    for table, plan in ((train, SEEN), (test, UNSEEN)):
        assert table.groupby(["fruit", "colour"]).size().to_dict() == dict.fromkeys(plan, FEW)
    assert sum(SEEN.values()) == 600
    assert sum(UNSEEN.values()) == 220
    of_colour = pd.Series(SEEN).groupby(level=1).sum()
    assert of_colour.to_dict() == dict.fromkeys(COLOURS, 120)


def test_no_fruit_of_the_test_is_among_those_to_learn_from() -> None:
    seen, unseen = ({fruit for fruit, _ in plan} for plan in (SEEN, UNSEEN))
    assert not seen & unseen
    assert {"tomato", "apple", "cherry"} <= seen
    assert "strawberry" in unseen
    assert seen | unseen == set(FRUITS)


def test_every_colour_is_asked_for_on_more_than_one_unseen_fruit() -> None:
    unseen = pd.Series(UNSEEN).groupby(level=1).size()
    assert unseen.to_dict() == dict.fromkeys(COLOURS, 2)


def test_some_shapes_come_in_two_colours_so_that_the_shape_is_not_enough() -> None:
    colours = pd.Series(SEEN).groupby(level=0).size()
    assert set(colours.index[colours > 1]) == {"apple", "pear", "plum"}


def test_every_row_names_its_own_picture_and_no_picture_is_left_over(
    made: Path, train: pd.DataFrame, test: pd.DataFrame
) -> None:
    named = [*train["photo"], *test["photo"]]
    assert sorted(named) == sorted(str(path.relative_to(made)) for path in made.rglob("*.jpg"))
    for photo in named:
        with Image.open(made / photo) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (SIDE, SIDE))


def test_no_two_pictures_are_alike(made: Path) -> None:
    pictures = [content for name, content in contents(made).items() if name.endswith(".jpg")]
    assert len(set(pictures)) == len(pictures)


def test_the_order_of_rows_tells_nothing(train: pd.DataFrame) -> None:
    assert not train["colour"].is_monotonic_increasing
    assert (train["colour"] == train["colour"].shift()).mean() < 0.6


def test_hues_of_two_colours_never_touch() -> None:
    hues = sorted(hues for hues, _, _ in COLOURS.values())
    assert all(right[0] - left[1] >= 10 for left, right in pairwise(hues))
    assert hues[0][0] + 360 - hues[-1][1] >= 10


def test_tables_are_paler_than_fruit() -> None:
    rng = np.random.default_rng(0)
    tables = np.array([table_colour(rng) for _ in range(300)])
    saturation = 1 - tables.min(axis=1) / tables.max(axis=1)
    assert saturation.max() <= 0.451
    assert min(strengths[0] for _, strengths, _ in COLOURS.values()) >= 0.45


@pytest.mark.parametrize("name", FRUITS)
def test_the_colour_asked_for_is_the_colour_of_the_fruit(name: str) -> None:
    red, green = (draw(np.random.default_rng(3), FRUITS[name], colour) for colour in ("red", "green"))
    changed = np.abs(red - green).max(axis=0) > 0.25
    assert 0.08 < changed.mean() < 0.6
    assert (red[0] - red[1])[changed].mean() > 0.2
    assert (green[1] - green[0])[changed].mean() > 0.05


def test_backgrounds_places_and_sizes_vary() -> None:
    rng = np.random.default_rng(0)
    pictures = np.array([draw(rng, FRUITS["strawberry"], "red") for _ in range(30)])
    assert pictures[:, :, :4, :4].mean(axis=(2, 3)).std(axis=0).min() > 0.08
    red = (pictures[:, 0] - pictures[:, 1] > 0.35).mean(axis=(1, 2))
    assert red.max() > 1.5 * red.min()


def test_the_model_file_reads_the_tables(train: pd.DataFrame, test: pd.DataFrame) -> None:
    spec = tomllib.loads(SPEC.read_text(encoding="utf-8"))
    assert [source["uri"] for source in spec["sources"]] == ["train.csv", "test.csv"]
    assert [source.get("split") for source in spec["sources"]] == [None, "test"]
    for table in (train, test):
        used = [*spec["columns"], spec["target"]["column"], spec["split"]["key"], *spec["evaluation"]["slices"]]
        assert set(used) <= set(table.columns)
    assert list(spec["columns"]) == ["photo"]
