"""What an output's name means: files of this machine, or tables of a database."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

from tasks.data.database import is_database
from tasks.scoring import claim
from tasks.scoring.destination import Destination, destination
from tasks.scoring.sinks import Sink
from tasks.scoring.tabledestination import TableDestination, table_destination
from tasks.scoring.tables import claimed_table, require_claimable_table

Output: TypeAlias = Destination | TableDestination


def wanted_output(output: Path | str) -> Output:
    """Where the rows go. Raises InputError for names that mean nothing."""
    return table_destination(str(output)) if is_database(str(output)) else destination(Path(output))


def claimed(wanted: Output, overwrite: bool) -> AbstractContextManager[Sink]:
    """The output, kept to this process inside the block; see `claim.claimed` and `claimed_table`."""
    return claim.claimed(wanted, overwrite) if isinstance(wanted, Destination) else claimed_table(wanted, overwrite)


def require_claimable(wanted: Output, overwrite: bool) -> None:
    """Passes when the output may be written. Raises InputError otherwise, OutsideError when it can't be reached."""
    if isinstance(wanted, Destination):
        claim.require_claimable(wanted, overwrite)
    else:
        require_claimable_table(wanted, overwrite)
