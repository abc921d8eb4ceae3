"""How the stored columns are read, as digests: rows keep their split only while its columns are read the same way."""

import hashlib
import json
from typing import Any

from models.columns import ColumnSettings
from models.modelfile import ModelFile
from tasks.data.layout import stored_split_name, time_settings

SAME_VALUES = frozenset({"sensitive", "min", "max", "max_values", "min_count", "max_characters"})
"""Settings that hide, refuse or count values without changing any; all others are taken to change them."""


TEXT = "text, whole decimals and booleans in one spelling"
"""How categories, keys and groups are read; another way of reading needs another word, because hashes follow it."""


def parsing_digests(model_file: ModelFile) -> dict[str, str]:
    """Per stored column, feature or split column, a digest that changes when the same cell may become another value."""
    split, marks = model_file.split, sorted(set(model_file.data.missing))
    read: dict[str, Any] = {name: [_settings(settings), marks] for name, settings in model_file.columns.items()}
    # Marks can't move a row by a split column: a missing value there is a reject.
    read |= {stored_split_name(name): TEXT for name in (*split.key, *filter(None, [split.group]))}
    if split.time:
        read[stored_split_name(split.time)] = _settings(time_settings(model_file, split.time))
    if split.column:
        read[stored_split_name(split.column)] = "split"
    return {name: _digest(how) for name, how in sorted(read.items())}


def _settings(settings: ColumnSettings) -> dict[str, Any]:
    told = settings.model_dump(mode="json", exclude=set(SAME_VALUES))
    return {**told, "reading": TEXT} if settings.kind == "category" else told


def _digest(how: Any) -> str:
    return hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:12]
