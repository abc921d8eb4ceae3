"""Where the served versions come from: folders, and aliases in the registry, which are followed."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from models.contract import Contract, read_contract
from models.errors import InputError, PerennialError
from tasks.aside import folder_aside
from tasks.scoring.execution import execution_of
from tasks.serving.wanted import Wanted

LOG = logging.getLogger("perennial.serve")
REFUSED_SECONDS = 300
FROM_FOLDER = "local"
"""The version of what no registry has numbered."""


@dataclass
class Source:
    """One name to answer under, and the version that it means now."""

    name: str
    asked: str
    """As the caller gave it."""
    wanted: Wanted | None = None
    troubled: bool = False
    """Whether the registry was away when it was asked last."""
    refused: str | None = None
    """The version that is not taken."""
    until: float = 0.0
    """When it is looked at again: what was wrong may have been the machine's."""

    def refuse(self, version: str) -> None:
        """Leaves the version alone for some minutes, or until the alias has moved on."""
        self.refused, self.until = version, time.monotonic() + REFUSED_SECONDS


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
    """The version that an alias means now, where that is another one than before and was not refused.

    That the registry can't be reached is said once, and changes nothing.
    """
    from tasks.registry.versions import number_of, parse_name

    if source.wanted is None or source.wanted.version == FROM_FOLDER:
        return None
    reference = parse_name(source.asked)
    if reference.number:
        return None
    number = None
    try:
        number = number_of(reference.model, reference.alias)
        if number != source.refused or time.monotonic() > source.until:
            source.refused = None
        if number is None or number in (source.wanted.version, source.refused):
            source.troubled = False
            return None
        found = _fetch(reference.model, number, scratch)
    except InputError as error:
        LOG.error("%s version %s is not taken, %s goes on: %s", source.name, number, source.wanted.version, error)
        source.refuse(str(number))
        return None
    except (PerennialError, OSError) as error:
        if not source.troubled:
            LOG.warning("%s goes on with version %s: %s", source.name, source.wanted.version, error)
        source.troubled = True
        return None
    source.troubled = False
    return found


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
