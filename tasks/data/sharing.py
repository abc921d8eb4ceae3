"""Files that two sources share, whose rows would be read twice."""

import posixpath
from collections.abc import Iterator, Sequence

from tasks.data.batches import SourceFile
from tasks.data.fetching import real_path


def read_twice(files: Sequence[SourceFile], what: str) -> list[str]:
    """A line for each two `what` ("sources") that share files, whichever ways lead there: patterns, links, folders."""
    owner: dict[str, SourceFile] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for file in files:
        for identity, path in identities(file):
            first = owner.setdefault(identity, file)
            if first is not file:
                shared.setdefault(_both(first, file), []).append(path)
    return [_line(paths, what, *both) for both, paths in shared.items()]


def identities(file: SourceFile) -> Iterator[tuple[str, str]]:
    """What is the same for the same file, and its path: of the table itself, or of each file of a folder."""
    if file.format != "folder":
        yield _identity(file, file.path), file.path
    folders: dict[str, str] = {}
    for name in file.listed:
        above, _, last = (file.path + name).rpartition("/")
        if above not in folders:
            folders[above] = _identity(file, above)
        yield posixpath.join(folders[above], last), file.path + name


def _identity(file: SourceFile, path: str) -> str:
    """Local paths without links; others with the kind of their store in front."""
    real = real_path(file.filesystem, path)
    return real if file.filesystem.type_name == "local" else f"{file.filesystem.type_name}://{real}"


def _both(first: SourceFile, second: SourceFile) -> tuple[str, str]:
    """Names of the sources; of one source that reaches a file by two names, these."""
    by_names = first.source == second.source and first.path != second.path
    return (first.path, second.path) if by_names else (first.source, second.source)


def _line(paths: Sequence[str], what: str, first: str, second: str) -> str:
    files = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    verb, it = ("belongs", "it") if len(paths) == 1 else ("belong", "them")
    return f"{files}: {verb} to two {what}, {first} and {second}; give {it} in one of them"
