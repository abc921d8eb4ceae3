"""What a window of new files reads."""

from pathlib import Path

import pytest

from models.errors import InputError
from tasks.monitoring.window import find_sources, nothing_new
from tasks.scoring.request import Options


def test_new_files_may_still_be_to_come(tmp_path: Path) -> None:
    here, later = tmp_path / "here.csv", f"{tmp_path}/later/*.csv"
    here.write_text("a\n1\n")
    none = find_sources([later], Options(), (), True)
    assert (none.files, nothing_new(none)) == ((), "no new files: there are none yet")
    some = find_sources([later, str(here)], Options(), (), True)
    assert [file.path for file in some.files] == [str(here)]
    again = find_sources([later, str(here)], Options(), some.fingerprints, True)
    assert (again.files, nothing_new(again)) == ((), "no new files: earlier windows have read all there are")
    with pytest.raises(InputError, match="no such file"):
        find_sources([later, str(here)], Options(), (), False)
    with pytest.raises(InputError, match="no input is one"):
        find_sources([str(here)], Options(key="id"), (), True)
