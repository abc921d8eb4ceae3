"""Addresses of servers, as they may be shown and stored."""

import re

ARTIFACTS = "artifacts"
"""The folder in the state folder for versions, reports and figures, unless a server has its own place."""


def has_credentials(address: str) -> bool:
    """Whether the address holds a user or password."""
    return "@" in address.partition("://")[2].partition("/")[0]


def without_credentials(text: str) -> str:
    """The text with asterisks for the user and password of each address in it."""
    return re.sub(r"://[^/\s]+@", "://***@", text)
