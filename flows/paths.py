"""Paths as a user types them, and whether a scoring run could work with them."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import InputError


def absolute(uri: str) -> str:
    """The path as it is meant from where the user stands; an URI stays as it is."""
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def require_files(inputs: Sequence[str], output: str, overwrite: bool) -> None:
    """Raises InputError for what a scoring run would refuse anyway, before anybody waits for a server."""
    from tasks.data.sources import resolve_each
    from tasks.scoring.outputs import require_claimable, wanted_output

    require_claimable(wanted_output(absolute(output)), overwrite)
    for uri in inputs:
        if not uri.strip():
            raise InputError("--input: nothing is named; give a file, folder or glob")
        resolve_each(absolute(uri))
