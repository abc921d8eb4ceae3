"""Files of JSON that later releases read as well: each says in which version of its format it is."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from models.errors import InputError
from models.sections import Section

S = TypeVar("S", bound=Section)


def read_versioned(kind: type[S], path: Path, newest: int, what: str) -> S:
    """The checked content. Raises FileNotFoundError, and InputError when it is damaged or newer than `newest`."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["format_version"]
        if version > newest:
            raise InputError(
                f"{path}: format version {version} is newer than {newest}, this release's; upgrade perennial"
            )
        return kind.model_validate(raw)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise InputError(f"{path}: damaged {what}: {str(error).splitlines()[0]}") from None
