"""Where the served versions come from: folders, and aliases in the registry, which are followed."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from models.contract import Contract, read_contract
from models.errors import InputError, PerennialError
from tasks.aside import folder_aside
from tasks.scoring.execution import EXECUTION, execution_of
from tasks.serving.wanted import Wanted

if TYPE_CHECKING:
    from tasks.registry.versions import Version

LOG = logging.getLogger("perennial.serve")
REFUSED_SECONDS, LONGEST_SECONDS = 300, 3600
"""Until what was refused is looked at again, twice as long each time: what was wrong may have been the machine's."""
FROM_FOLDER = "local"
"""The version of what no registry has numbered."""


Seen: TypeAlias = tuple[str, str | None, str | None]
"""A version, and those of its tags that say how it runs and what it is."""


@dataclass
class Source:
    """One name to answer under, and the version that it means now."""

    name: str
    asked: str
    """As the caller gave it."""
    wanted: Wanted | None = None
    troubled: bool = False
    """Whether the registry was away when it was asked last."""
    seen: Seen | None = None
    """What was looked at last."""
    refused: Seen | None = None
    """What is not taken."""
    until: float = 0.0
    """When that is looked at again."""
    pause: float = REFUSED_SECONDS

    def refuse(self) -> None:
        """Leaves alone for a while what was looked at last; what is looked at next may be another version or tag."""
        self.pause = min(LONGEST_SECONDS, 2 * self.pause) if self.refused == self.seen else REFUSED_SECONDS
        self.refused, self.until = self.seen, time.monotonic() + self.pause

    @property
    def left_alone(self) -> bool:
        """Whether what was looked at last was refused not long ago."""
        return self.seen == self.refused and time.monotonic() < self.until


def find_sources(asked: Sequence[str], scratch: Path) -> list[Source]:
    """What was asked for, ready to be loaded. Raises InputError where a name is given twice, or does not exist."""
    sources = [_find(place, scratch) for place in asked]
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{twice}: is to be served twice; name another alias, as in {twice}@challenger")
    return sources


def _find(place: str, scratch: Path) -> Source:
    if Path(place).is_dir():
        contract = read_contract(Path(place))
        if "/" in contract.name:
            raise InputError(f"{place}: no address leads to a model that is called {contract.name!r}; rename it")
        return Source(contract.name, place, Wanted(FROM_FOLDER, str(Path(place).resolve()), None))
    # Only what comes from the registry waits for MLflow to be loaded.
    from tasks.registry.versions import CHAMPION, parse_name, resolve

    reference, version = parse_name(place), resolve(place)
    name = reference.model if reference.alias == CHAMPION else f"{reference.model}@{reference.alias}"
    return Source(name, place, _fetch(version.model, version.number, scratch))


def _fetch(model: str, number: str, scratch: Path) -> Wanted:
    """The version's files under `scratch`, where they stay. Raises InputError where they were tampered with."""
    from tasks.registry.versions import downloaded, find_version

    version = find_version(model, number)
    folder = scratch / model / number
    if not folder.exists():
        with downloaded(version) as package, folder_aside(folder.parent, number) as aside:
            (aside / number).mkdir()
            shutil.copytree(package, aside / number, dirs_exist_ok=True)
            (aside / number).rename(folder)
    return Wanted(number, str(folder), version.sha256, execution_of(version).to_json())


def contracts_of(sources: Sequence[Source]) -> list[Contract]:
    """What the versions that answer now take, return and lead to."""
    return [read_contract(Path(source.wanted.folder)) for source in sources if source.wanted]


def moved(source: Source, scratch: Path) -> Wanted | None:
    """What a name means now, where that is another version or way of running it than before, and was not refused.

    That the registry can't be reached is said once, and changes nothing.
    """
    if source.wanted is None or source.wanted.version == FROM_FOLDER:
        return None
    try:
        version = _holder(source, source.wanted)
        found = None if version is None or source.left_alone else _changed(source.wanted, version, scratch)
    except InputError as error:
        # A name that means nothing any more is found out at each look.
        if not source.left_alone:
            number = source.seen[0] if source.seen else "?"
            LOG.error("%s version %s is not taken, %s goes on: %s", source.name, number, source.wanted.version, error)
            source.refuse()
        return None
    except (PerennialError, OSError) as error:
        if not source.troubled:
            LOG.warning("%s goes on with version %s: %s", source.name, source.wanted.version, error)
        source.troubled = True
        return None
    source.troubled = False
    return found


def _holder(source: Source, wanted: Wanted) -> "Version | None":
    """The version that is asked for, which an alias may have passed on."""
    from tasks.registry.versions import SHA256, find_version, holder_of, parse_name

    reference = parse_name(source.asked)
    pinned = reference.number is not None
    version = find_version(reference.model, wanted.version) if pinned else holder_of(reference.model, reference.alias)
    if version is not None:
        source.seen = version.number, version.tags.get(EXECUTION), version.tags.get(SHA256)
        # What has moved on meanwhile is looked at anew.
        source.refused = source.refused if source.refused == source.seen else None
    return version


def _changed(wanted: Wanted, version: "Version", scratch: Path) -> Wanted | None:
    """The version, unless it answers already, and as it is to run. Raises InputError where a tag is damaged."""
    if version.number == wanted.version and execution_of(version).to_json() == wanted.execution:
        return None
    return _fetch(version.model, version.number, scratch)


def forget_others(sources: Sequence[Source], scratch: Path) -> None:
    """Removes the files of versions that nobody asks for any more."""
    needed = {Path(source.wanted.folder) for source in sources if source.wanted}
    for folder in scratch.glob("*/*"):
        if folder not in needed:
            shutil.rmtree(folder, ignore_errors=True)


def as_words(wanted: Wanted) -> str:
    """For a command line."""
    import orjson

    return orjson.dumps(asdict(wanted)).decode()
