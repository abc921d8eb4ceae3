"""What examples of pictures have in common: files that a seed decides."""

from collections.abc import Callable
from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def decided_by_the_seed(write: Callable[[Path, int], Path], made: Path, folder: Path) -> bool:
    """Whether seed 0 gives the files of `made` again, and another seed other pictures of the same names."""
    first, again, other = contents(made), contents(write(folder / "again", 0)), contents(write(folder / "other", 1))
    pictures = [name for name in first if name.endswith(".jpg")]
    others = other.keys() == first.keys() and all(other[name] != first[name] for name in pictures)
    return bool(pictures) and again == first and others
