"""What a training runs on: this process alone, or workers that Ray starts."""

from dataclasses import dataclass
from typing import Literal

from models.errors import InputError
from tasks.cluster import require_ray

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class Engine:
    """The engine of a training. How many workers it has shapes the weights, where they run does not."""

    name: EngineName = "local"
    workers: int = 1
    address: str | None = None
    """Of a Ray cluster that runs already."""


LOCAL = Engine()


def choose_engine(name: EngineName, workers: int, address: str | None) -> Engine:
    """The engine as asked for. Raises InputError where the words don't fit each other, or Ray is missing."""
    if workers < 1:
        raise InputError(f"--workers {workers}: give 1 or more")
    if name == "ray":
        require_ray()
    elif workers > 1:
        raise InputError(f"--workers {workers} needs --engine ray")
    elif address:
        raise InputError("--address needs --engine ray")
    return Engine(name, workers, address)
