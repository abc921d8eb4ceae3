"""What the server tells its worker processes; light, so that the server itself loads nothing that answers."""

from dataclasses import asdict, dataclass, field

import orjson

from tasks.serving.limits import Limits

READY = "ready"
"""What a worker says once it takes requests."""


@dataclass(frozen=True)
class Logging:
    """What is logged of requests, and where."""

    folder: str
    share: float = 1.0
    """Of the requests."""
    seconds: float = 30.0
    """Between parts: what a killed process loses at most."""
    keep: tuple[str, ...] = ()
    """Columns whose values are logged although they are sensitive, or files."""


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
    endpoints: str
    """The folder that they share what they know of endpoints in."""
    batch_rows: int
    batch_wait: float
    limits: Limits = field(default_factory=Limits)
    log: Logging | None = None
    actions: str | None = None
    """The folder of what live decisions lead to; None where they lead to nothing."""

    def as_json(self) -> str:
        """For the command line."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def read(cls, text: str) -> "Settings":
        """What `as_json` gave."""
        given = orjson.loads(text)
        log = Logging(**given["log"]) if given["log"] else None
        return cls(**{**given, "limits": Limits(**given["limits"]), "log": log})
