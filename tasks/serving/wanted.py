"""Which versions are to answer: what the server tells its worker processes, in a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Wanted:
    """A version that is to answer under a name."""

    version: str
    folder: str
    sha256: str | None
    execution: str | None = None
    """The settings that a measurement has chosen, as JSON."""


def write_wanted(path: Path, wanted: Mapping[str, Wanted]) -> None:
    """Says in one step which versions are to answer."""
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({name: vars(one) for name, one in wanted.items()}), encoding="utf-8")
    aside.replace(path)


def read_wanted(path: Path) -> dict[str, Wanted]:
    """What `write_wanted` has written; nothing before it has."""
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {name: Wanted(**one) for name, one in found.items()}
