"""Paths as a user types them, and whether a scoring run could work with them."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import InputError


def absolute(uri: str) -> str:
    """The path as it is meant from where the user stands; a URI stays as it is, that of a database without its user.

    Raises InputError for the URI of a store with a key or password in it.
    """
    from tasks.data.database import is_database, without_user
    from tasks.data.reach import require_no_secret

    if is_database(uri):
        return without_user(uri)
    require_no_secret(uri)
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def require_files(inputs: Sequence[str], output: str, overwrite: bool, *asked: str | None) -> None:
    """Raises InputError for what a scoring run would refuse anyway, before anybody waits for a server.

    `asked` are query, key and version column.
    """
    from tasks.scoring.outputs import require_claimable, wanted_output

    require_claimable(wanted_output(absolute(output)), overwrite)
    require_inputs(inputs, *asked)


def require_inputs(inputs: Sequence[str], *asked: str | None) -> None:
    """Raises InputError for inputs that are not there, or not to be read in this way."""
    from tasks.data.database import is_database
    from tasks.data.query import Asked, find_query
    from tasks.data.sources import resolve_each

    for uri in inputs:
        if not uri.strip():
            raise InputError("--input: nothing is named; give a file, folder or glob")
        if is_database(uri):
            find_query(uri, Asked(*asked))
        else:
            resolve_each(absolute(uri))
