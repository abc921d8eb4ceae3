"""The profile as a file."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.errors import InputError
from models.profile import FORMAT_VERSION, Bins, ColumnProfile, Names, Profile, Rate, read_profile, write_profile

PROFILE = Profile(
    rows=4,
    rejected=Rate(count=1, rows=5),
    columns={
        "größe": ColumnProfile(kind="number", facets={"value": Bins(edges=(0.1, 1e300), counts=(1, 2, 0), low=-1.5)}),
        "shop": ColumnProfile(kind="category", facets={"value": Names(names=("a\n", "b"), counts=(2, 1), rest=1)}),
    },
    predictions=ColumnProfile(kind="binary", facets={}),
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write_profile(PROFILE, tmp_path)
    assert read_profile(tmp_path) == PROFILE


def test_a_version_without_one_has_none(tmp_path: Path) -> None:
    assert read_profile(tmp_path) is None


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    path = write_profile(PROFILE, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": FORMAT_VERSION + 1}))
    with pytest.raises(InputError, match="upgrade perennial"):
        read_profile(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1}', '{"format_version": "x"}', "\x00"])
def test_a_damaged_file_is_one_plain_line(text: str, tmp_path: Path) -> None:
    write_profile(PROFILE, tmp_path).write_text(text)
    with pytest.raises(InputError) as caught:
        read_profile(tmp_path)
    assert "damaged profile" in str(caught.value) and "\n" not in str(caught.value)


def test_counts_that_fit_no_bins_or_names_are_refused() -> None:
    with pytest.raises(ValidationError):
        Bins(edges=(1.0,), counts=(1,))
    with pytest.raises(ValidationError):
        Names(names=("a",), counts=())
