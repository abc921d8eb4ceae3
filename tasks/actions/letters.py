"""What is delivered, how it is carried, and what came of it."""

import hashlib
import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Parcel:
    """The rows of one shard that one action takes, and the files that tell what became of them."""

    shard: str
    """Unlike those of all other shards of the run, and fit for the name of a file."""
    outbox: Path
    receipts: Path
    """Journal of what was delivered; nothing in it is sent again."""
    dead: Path
    """Journal of dead letters: what could not be delivered, and why."""


@dataclass(frozen=True)
class Letter:
    """What is delivered at once: one row to an endpoint, a whole parcel to a folder or table."""

    key: str
    """Of idempotency: the same letter has the same key at every try, 64 hexadecimal digits."""
    rows: int
    body: str
    """JSON object."""


@dataclass(frozen=True)
class Answer:
    """What came of one try."""

    delivered: bool
    reason: str = ""
    """Why it was not delivered, in plain words."""
    status: int | None = None
    """Of HTTP, where there was an answer."""
    passing: bool = False
    """Whether another try may end otherwise."""
    silent: bool = False
    """Whether the other side as a whole seems not to be there."""
    wait: float = 0.0
    """Seconds that the other side asked to wait."""


class Carrier(Protocol):
    """One way to deliver."""

    def letters(self, parcel: Parcel, done: Container[str]) -> Iterator[Letter]:
        """The letters of a parcel but for those whose keys are in `done`."""

    def send(self, letter: Letter, parcel: Parcel) -> Answer:
        """Tries once; threads may do so at the same time."""

    def close(self) -> None:
        """Lets go of connections."""


def key_of(*parts: str | int) -> str:
    """The idempotency key: SHA-256 of what names the letter."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
