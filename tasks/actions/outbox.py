"""The outbox: rows that wait to be delivered, one Parquet file for each shard and action."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.actions import Action
from models.errors import InputError
from tasks.aside import flush_to_disk
from tasks.data.rowgroups import RowGroups

ACTIONS_FILE = "actions.json"
"""Beside outboxes: what is delivered, and where."""
FORMAT_VERSION = 1
"""Of that file; before there were versions it was the list of actions alone."""


class NewerError(InputError):
    """A later release has written the file, and knows more than this one."""


def actions_text(actions: Iterable[Action]) -> str:
    """What the file says."""
    told = [action.model_dump(mode="json") for action in actions]
    return json.dumps({"format_version": FORMAT_VERSION, "actions": told}, indent=1)


def read_actions(folder: Path) -> list[Action]:
    """What is delivered from the folder.

    Raises FileNotFoundError before it is begun, NewerError for a later format, InputError where the file is damaged.
    """
    path = folder / ACTIONS_FILE
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        version = FORMAT_VERSION if isinstance(told, list) else told["format_version"]
        if version > FORMAT_VERSION:
            raise NewerError(
                f"{path}: format version {version} is newer than {FORMAT_VERSION}, this release's; upgrade perennial"
            )
        return [Action.model_validate(each) for each in (told if isinstance(told, list) else told["actions"])]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged: {(str(error) or repr(error)).splitlines()[0]}") from None


class OutboxWriter:
    """Writes the outbox of one shard and action from many small tables; equal rows give equal bytes."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """`schema` is that of the tables which `Actions.select` gives; raises OSError when the disk refuses."""
        self._path = path
        self._plain = pa.schema([pa.field(f.name, _plain(f.type)) for f in schema])
        self._rows = RowGroups(path, self._plain, store_schema=False, write_page_checksum=True)

    def write_table(self, table: pa.Table) -> None:
        """Appends the rows."""
        self._rows.write_table(table.cast(self._plain))

    def close(self) -> None:
        """Finishes the file; it is on the disk when this returns, and may be renamed into place."""
        self._rows.close()
        flush_to_disk(self._path)


def write_outbox(path: Path, table: pa.Table) -> None:
    """The rows as an outbox file of their own; an outbox without rows is a file as well."""
    writer = OutboxWriter(path, table.schema)
    writer.write_table(table)
    writer.close()


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
