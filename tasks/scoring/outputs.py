"""What an output's name means: files of this machine, a folder in an object store, or tables of a database."""

import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

from tasks.data.database import is_database
from tasks.scoring import claim
from tasks.scoring.destination import Destination, RemoteDestination, destination, remote_destination
from tasks.scoring.remote import claimed_remote, finished_remotely, require_claimable_remote, stores
from tasks.scoring.sinks import Sink
from tasks.scoring.tabledestination import TableDestination, table_destination
from tasks.scoring.tablefree import require_claimable_table
from tasks.scoring.tables import claimed_table
from tasks.scoring.verify import Finished, finished_here, read_manifest, verify
from tasks.scoring.verifytable import table_manifest, unfinished_table, verify_table

Output: TypeAlias = Destination | RemoteDestination | TableDestination


def wanted_output(output: Path | str) -> Output:
    """Where the rows go. Raises InputError for names that mean nothing."""
    name = str(output)
    if is_database(name):
        return table_destination(name)
    return remote_destination(name) if "://" in name else destination(Path(output))


def claimed(wanted: Output, overwrite: bool) -> AbstractContextManager[Sink]:
    """The output, kept to this process inside the block.

    See `claim.claimed`, `claimed_remote` and `claimed_table`.
    """
    if isinstance(wanted, TableDestination):
        return claimed_table(wanted, overwrite)
    return claim.claimed(wanted, overwrite) if isinstance(wanted, Destination) else claimed_remote(wanted, overwrite)


def require_claimable(wanted: Output, overwrite: bool) -> None:
    """Passes when the output may be written. Raises InputError otherwise, OutsideError when it can't be reached."""
    if isinstance(wanted, Destination):
        claim.require_claimable(wanted, overwrite)
    elif isinstance(wanted, TableDestination):
        require_claimable_table(wanted, overwrite)
    else:
        require_claimable_remote(wanted, overwrite)


def manifest_of(output: str) -> dict[str, Any]:
    """What the finished run of an output says of itself. Raises InputError where there is none."""
    return table_manifest(output) if is_database(output) else read_manifest(_finished(output))


def is_unfinished(output: str, run_id: str) -> bool:
    """Whether a run has not come to its end, such as one that was killed while it delivered."""
    wanted = wanted_output(output)
    if isinstance(wanted, TableDestination):
        pinned = unfinished_table(wanted)
    elif isinstance(wanted, Destination):
        pinned = claim.ledger_of(wanted).pinned()
    else:
        pinned = stores(wanted, Path(tempfile.gettempdir()))[1].pinned()
    return pinned is not None and pinned.run_id == run_id


def scored_before(output: str) -> list[Mapping[str, Any]]:
    """The sources of a finished output, and of those that came before it. Raises InputError where there is none."""
    manifest = manifest_of(output)
    return [*manifest.get("earlier", ()), *manifest["sources"]]


def problems_of(output: str) -> list[str]:
    """What is wrong with a finished output; nothing where it is whole."""
    return verify_table(output) if is_database(output) else verify(_finished(output))


def _finished(output: str) -> Finished:
    return (
        finished_remotely(remote_destination(output)) if "://" in output else finished_here(destination(Path(output)))
    )
