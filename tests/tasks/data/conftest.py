"""Small model files and data for the tests of this package."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.modelfile import ModelFile, read_model_file

Make = Callable[..., ModelFile]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one in a folder of its own."""
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that writes a model file with the given sections and reads it."""

    def write(
        columns: str, *, sources: str = 'uri = "*.csv"', target: str = 'column = "y"', rest: str = ""
    ) -> ModelFile:
        listed = "\n".join(f"[[sources]]\n{source}" for source in sources.split("|"))
        path = tmp_path / "model.toml"
        path.write_text(f'name = "m"\n{listed}\n[target]\n{target}\n[columns]\n{columns}\n{rest}\n', encoding="utf-8")
        return read_model_file(path)

    return write
