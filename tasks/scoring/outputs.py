"""What an output's name means: files of this machine, or a folder in an object store."""

from contextlib import AbstractContextManager
from pathlib import Path

from tasks.scoring import claim
from tasks.scoring.destination import AnyDestination, Destination, destination, remote_destination
from tasks.scoring.remote import claimed_remote, require_claimable_remote
from tasks.scoring.sinks import Sink


def wanted_output(output: Path | str) -> AnyDestination:
    """Where the rows go. Raises InputError for names that mean nothing."""
    return remote_destination(str(output)) if "://" in str(output) else destination(Path(output))


def claimed(wanted: AnyDestination, overwrite: bool) -> AbstractContextManager[Sink]:
    """The output, kept to this process inside the block; see `claim.claimed` and `claimed_remote`."""
    return claim.claimed(wanted, overwrite) if isinstance(wanted, Destination) else claimed_remote(wanted, overwrite)


def require_claimable(wanted: AnyDestination, overwrite: bool) -> None:
    """Passes when the output may be written. Raises InputError otherwise, OutsideError when it can't be reached."""
    if isinstance(wanted, Destination):
        claim.require_claimable(wanted, overwrite)
    else:
        require_claimable_remote(wanted, overwrite)
