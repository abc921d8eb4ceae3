"""What the server tells its worker processes; light, so that the server itself loads nothing that answers."""

from dataclasses import asdict, dataclass, field

import orjson

from tasks.serving.limits import Limits

READY = "ready"
"""What a worker says once it takes requests."""


@dataclass(frozen=True)
class Settings:
    """What a worker process is given."""

    descriptor: int
    """Of the socket that listens."""
    parent: int
    """The process that started it, with which it ends."""
    wanted: str
    """The file that says which versions are to answer."""
    metrics: str
    """The folder that the processes share their counts in."""
    batch_rows: int
    batch_wait: float
    limits: Limits = field(default_factory=Limits)

    def as_json(self) -> str:
        """For the command line."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def read(cls, text: str) -> "Settings":
        """What `as_json` gave."""
        given = orjson.loads(text)
        return cls(**{**given, "limits": Limits(**given["limits"])})
