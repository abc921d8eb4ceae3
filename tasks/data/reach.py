"""Object stores: what a URI names, and whether a store is away for a while or says no for good."""

import os

from pyarrow import fs

from models.errors import OutsideError, UnreachableError

SAYS_NO = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN",
)
"""Errors of S3 that asking again does not mend."""
AWAY = ("AWS Error", "curlCode")
CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"


def located(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path of a URI; raises what `pyarrow.fs.FileSystem.from_uri` does.

    Servers that speak S3 without being Amazon's may not know the checksums that its library adds to uploads, or take
    long for them: they get none, unless the environment asks for them. Outputs are hashed by ourselves.
    """
    if "endpoint_override" in uri:
        os.environ.setdefault(CHECKSUMS, "when_required")
    filesystem, path = fs.FileSystem.from_uri(uri)
    return filesystem, path


def says_no(error: OSError) -> bool:
    """Whether the store has answered, and will answer the same again."""
    return isinstance(error, PermissionError) or any(code in str(error) for code in SAYS_NO)


def is_away(filesystem: fs.FileSystem, path: str, error: OSError) -> bool:
    """Whether reading failed for the store and not for what the file holds; never on this machine."""
    if isinstance(filesystem, fs.LocalFileSystem) or isinstance(error, FileNotFoundError):
        return False
    if any(word in str(error) for word in AWAY):
        return True
    try:
        filesystem.get_file_info(path)
    except OSError:
        return True
    return False


def outage(path: str, error: OSError) -> OutsideError:
    """The error to raise for a store that is away, or says no."""
    reason = str(error).splitlines()[0].rstrip(".")
    return (OutsideError if says_no(error) else UnreachableError)(f"{path}: can't be reached ({reason})")
