"""Model files that are written for one test: what is read from them, or what is wrong with them."""

from pathlib import Path

import pytest

from models.errors import InputError
from models.modelfile import ModelFile, read_model_file


def read(folder: Path, text: str) -> ModelFile:
    """A file `m.toml` of this text."""
    path = folder / "m.toml"
    path.write_text(text, encoding="utf-8")
    return read_model_file(path)


def problems(folder: Path, text: str) -> list[str]:
    """Without the name of the file, which each begins with."""
    with pytest.raises(InputError) as caught:
        read(folder, text)
    start = f"{folder / 'm.toml'}: "
    assert all(problem.startswith(start) and "\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix(start) for problem in caught.value.problems]
