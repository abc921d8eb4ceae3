import tomllib
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFont

from tasks.examples import traffic_signs
from tasks.examples.pictures import Pixels
from tasks.examples.sign_faces import LIMITS, SIGNS, WRITTEN, Face, Paint, Script, letters
from tasks.examples.sign_scenes import DIRT, SIDE, Circumstances, perspective, photograph, seen_corners, soiled
from tasks.examples.traffic_signs import (
    CONDITIONS,
    SEEN_FONTS,
    SEEN_SHADES,
    TO_JUDGE,
    TRACKS,
    UNSEEN_FONTS,
    UNSEEN_SHADES,
    VIEWS,
    font_folder,
    make,
    manufacture,
    to_judge,
)
from tests.tasks.examples.pictures import decided_by_the_seed

SPEC = Path(__file__).parents[3] / "models" / "specs" / "traffic-signs.toml"
FEW, TO_JUDGE_FEW = 1, 5


def few(folder: Path, seed: int = 0) -> Path:
    """What `make` writes, with few signs by the road."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traffic_signs, "TRACKS", FEW)
        patch.setattr(traffic_signs, "TO_JUDGE", TO_JUDGE_FEW)
        make(folder, seed)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return few(tmp_path_factory.mktemp("traffic-signs"))


def seen_under(condition: str, sign: str, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return photograph(rng, manufacture(rng, sign, CONDITIONS[condition]), CONDITIONS[condition].seen)


def test_equal_seeds_give_equal_bytes_and_others_other_pictures(made: Path, tmp_path: Path) -> None:
    assert decided_by_the_seed(few, made, tmp_path)


def test_there_are_as_many_pictures_of_each_sign_as_planned(train: pd.DataFrame, test: pd.DataFrame) -> None:
    assert train["sign"].value_counts().to_dict() == dict.fromkeys(SIGNS, FEW * VIEWS)
    assert test["condition"].value_counts().to_dict() == dict.fromkeys(CONDITIONS, TO_JUDGE_FEW)
    assert len(SIGNS) * TRACKS * VIEWS == 2880
    assert len(to_judge()) == len(CONDITIONS) * TO_JUDGE == 896


def test_every_condition_shows_all_its_signs_equally_often() -> None:
    tests = pd.DataFrame([(track.condition, track.sign) for track in to_judge()], columns=["condition", "sign"])
    for name, condition in CONDITIONS.items():
        counts = tests["sign"][tests["condition"] == name].value_counts()
        assert counts.to_dict() == dict.fromkeys(condition.signs, TO_JUDGE // len(condition.signs))


def test_a_track_is_one_sign_on_one_side_of_the_split(train: pd.DataFrame, test: pd.DataFrame) -> None:
    assert train.groupby("track").size().unique().tolist() == [VIEWS]
    assert train.groupby("track")["sign"].nunique().max() == 1
    assert test["track"].is_unique
    assert not set(train["track"]) & set(test["track"])


def test_every_row_names_its_own_picture_and_no_picture_is_left_over(
    made: Path, train: pd.DataFrame, test: pd.DataFrame
) -> None:
    named = [*train["photo"], *test["photo"]]
    assert sorted(named) == sorted(str(path.relative_to(made)) for path in made.rglob("*.jpg"))
    for photo in named:
        with Image.open(made / photo) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (SIDE, SIDE))
    assert len({(made / photo).read_bytes() for photo in named}) == len(named)


def test_what_is_learnt_from_is_plain(train: pd.DataFrame) -> None:
    assert set(train["condition"]) == {"plain"}


def test_unseen_fonts_are_of_other_families() -> None:
    def families(names: list[str]) -> set[str | None]:
        return {ImageFont.truetype(font_folder() / f"{name}.ttf").getname()[0] for name in names}

    assert not families(list(SEEN_FONTS)) & families(list(UNSEEN_FONTS))


@pytest.mark.parametrize("font", [*SEEN_FONTS, *UNSEEN_FONTS])
def test_every_font_tells_the_limits_apart(font: str) -> None:
    file = font_folder() / f"{font}.ttf"
    masks = [np.asarray(letters(str(limit), file, 0.0).resize((40, 24)), float) for limit in LIMITS]
    assert min(np.abs(one - other).mean() for one, other in combinations(masks, 2)) > 15


def test_unseen_shades_lie_apart_from_those_to_learn_from() -> None:
    assert UNSEEN_SHADES.turn[0] >= SEEN_SHADES.turn[1] + 5
    assert UNSEEN_SHADES.strength[1] < SEEN_SHADES.strength[0]


@pytest.mark.parametrize(
    ("condition", "changed"),
    [
        ("dirt", {"dirt"}),
        ("tilt", {"lean", "turn"}),
        ("dusk", {"light", "haze", "grain"}),
        ("motion", {"motion", "grain"}),
    ],
)
def test_a_condition_lies_outside_of_what_is_learnt_from_only_in_what_its_name_says(
    condition: str, changed: set[str]
) -> None:
    plain, other = CONDITIONS["plain"], CONDITIONS[condition]
    assert replace(other, seen=plain.seen) == plain
    for field in fields(Circumstances):
        usual, unusual = getattr(plain.seen, field.name), getattr(other.seen, field.name)
        if field.name in changed:
            assert unusual[0] >= usual[1] or unusual[1] <= usual[0]
        else:
            assert unusual == usual


def test_fonts_and_shades_change_alone() -> None:
    plain = CONDITIONS["plain"]
    assert replace(CONDITIONS["unseen font"], fonts=plain.fonts, signs=plain.signs) == plain
    assert set(CONDITIONS["unseen font"].signs) == set(WRITTEN)
    assert replace(CONDITIONS["another shade"], shades=plain.shades) == plain


def test_faces_differ_by_more_than_their_colour() -> None:
    script = Script(font_folder() / "DejaVuSans.ttf", 0.0)
    faces = {}
    for name, paint in SIGNS.items():
        face = Face(script, Paint((180, 20, 30), (20, 80, 180), (250, 200, 0)))
        paint(face)
        faces[name] = np.asarray(face.image.reduce(4).convert("L"), float)
    assert min(np.abs(one - other).mean() for one, other in combinations(faces.values(), 2)) > 1.5


def test_the_map_of_a_perspective_leads_each_place_to_its_source() -> None:
    places = np.array([(10, 12), (88, 5), (80, 90), (4, 77)], float)
    sources = np.array([(0, 0), (96, 0), (96, 96), (0, 96)], float)
    a, b, c, d, e, f, g, h = perspective(places, sources)
    for (x, y), source in zip(places, sources, strict=True):
        scale = g * x + h * y + 1
        np.testing.assert_allclose([(a * x + b * y + c) / scale, (d * x + e * y + f) / scale], source, atol=1e-9)


def test_a_sign_seen_straight_is_a_square_and_a_leaning_one_is_turned() -> None:
    np.testing.assert_allclose(seen_corners(0, 0, 0), [(-1, -1), (1, -1), (1, 1), (-1, 1)])
    np.testing.assert_allclose(seen_corners(np.pi / 2, 0, 0), [(1, -1), (1, 1), (-1, 1), (-1, -1)], atol=1e-12)


def test_the_nearer_side_of_a_turned_sign_looks_taller() -> None:
    corners = seen_corners(0, np.pi / 6, 0)
    left, right = corners[3, 1] - corners[0, 1], corners[2, 1] - corners[1, 1]
    np.testing.assert_allclose([left, right], [2 * 4 / 3.5, 2 * 4 / 4.5])
    assert corners[1, 0] - corners[0, 0] < 2


def test_dirt_is_never_opaque_and_leaves_the_outline() -> None:
    sign = np.ones((4, 96, 96), np.float32)
    thickness = CONDITIONS["dirt"].seen.dirt[1]
    dirty = soiled(np.random.default_rng(0), sign, thickness)
    covered = (1 - dirty[:3]) / (1 - DIRT[:, None, None])
    assert covered.max() <= thickness + 1e-5
    assert 0.3 < covered.mean() / thickness < 0.7
    np.testing.assert_array_equal(dirty[3], sign[3])


def test_dusk_is_darker_than_any_day() -> None:
    nights = [seen_under("dusk", sign).mean() for sign in SIGNS]
    days = [seen_under("plain", sign).mean() for sign in SIGNS]
    assert max(nights) < min(days)


def test_motion_takes_the_sharpness() -> None:
    def sharpness(condition: str) -> float:
        return float(np.mean([np.abs(np.diff(seen_under(condition, sign, 1), n=2)).max() for sign in SIGNS]))

    assert sharpness("motion") < 0.75 * sharpness("plain")


def test_the_model_file_reads_the_tables_and_never_sees_the_condition(train: pd.DataFrame, test: pd.DataFrame) -> None:
    spec = tomllib.loads(SPEC.read_text(encoding="utf-8"))
    assert [source["uri"] for source in spec["sources"]] == ["train.csv", "test.csv"]
    assert [source.get("split") for source in spec["sources"]] == [None, "test"]
    for table in (train, test):
        used = [*spec["columns"], spec["target"]["column"], spec["split"]["group"], *spec["evaluation"]["slices"]]
        assert set(used) <= set(table.columns)
    assert list(spec["columns"]) == ["photo"]
