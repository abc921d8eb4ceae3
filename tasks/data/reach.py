"""Object stores: what a URI names, and whether a store is away for a while or says no for good."""

import os
import re

from pyarrow import fs

from models.errors import InputError, OutsideError, UnreachableError

SAYS_NO = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN",
)
"""Errors of S3 that asking again does not mend."""
AWAY = ("AWS Error", "curlCode")
PASSWORD = re.compile(r"://(?!\[)[^/@:]*:(?!\d+(?:[/?&]|$))")
"""Before a path, a colon that no port follows; a secret may hold a slash."""
SECRET = re.compile(r"(?i)(?:^|&)[^=&]*(?:secret|token|password|credential|access_key|account_key|sas)[^=&]*=")
CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"


def located(uri: str) -> tuple[fs.FileSystem, str]:
    """File system and path of a URI without secrets; raises the errors of `require_no_secret` and `opened`."""
    require_no_secret(uri)
    return opened(uri)


def require_no_secret(uri: str) -> None:
    """Passes a URI that may be stored and shown. Raises InputError for one with a password or key, without them."""
    if PASSWORD.search(uri) or SECRET.search(uri.partition("?")[2]):
        raise InputError(
            f"{uri.partition('://')[0]}://...: keys and passwords do not belong into an address, which is stored and "
            "shown; leave them to the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def opened(uri: str) -> tuple[fs.FileSystem, str]:
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
