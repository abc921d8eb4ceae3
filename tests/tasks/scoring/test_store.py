"""Folders that a run writes to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pyarrow import fs

from tasks.scoring.store import ObjectStore


class Tidy:
    """A store that drops an empty folder just before it is asked to."""

    def get_file_info(self, _: str) -> Any:
        return SimpleNamespace(type=fs.FileType.Directory)

    def delete_dir(self, path: str) -> None:
        raise FileNotFoundError(path)


def test_a_folder_that_a_store_has_dropped_of_its_own_accord_is_gone_as_asked(tmp_path: Path) -> None:
    ObjectStore(cast(fs.FileSystem, Tidy()), "bucket/out", tmp_path).remove("_ledger/shards")
