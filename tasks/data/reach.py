"""Whether an object store is away for a while, or says no for good."""

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
