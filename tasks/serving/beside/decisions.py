"""The rows of live decisions that actions take, as batch scoring's outboxes have them."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.actions import Action
from models.contract import Contract
from tasks.actions.outbox import ACTIONS_FILE
from tasks.actions.select import Actions
from tasks.aside import flush_to_disk
from tasks.scoring.output import constant_column, output_columns
from tasks.serving.beside.block import Block
from tasks.serving.beside.names import folder_name, run_id_of

NEW = "new"
"""The folder of segments within that of an action."""


def box_of(above: Path, contract: Contract) -> Path:
    """The folder of what the version's actions take; other actions have another one."""
    told = json.dumps([action.model_dump(mode="json") for action in contract.actions], sort_keys=True)
    return above / folder_name(contract.name) / hashlib.sha256(told.encode()).hexdigest()[:16]


def begin_box(box: Path, actions: Sequence[Action]) -> None:
    """Notes what is delivered from the folder, and where. Raises OSError."""
    if (box / ACTIONS_FILE).exists():
        return
    box.mkdir(parents=True, exist_ok=True)
    aside = box / f".{ACTIONS_FILE}.{np.random.default_rng().integers(1 << 62):x}"
    aside.write_text(json.dumps([action.model_dump(mode="json") for action in actions], indent=1), encoding="utf-8")
    flush_to_disk(aside)
    aside.replace(box / ACTIONS_FILE)
    for folder in (box, box.parent, box.parent.parent):
        flush_to_disk(folder)


def select(actions: Actions, block: Block) -> dict[str, pa.Table]:
    """The rows that each action takes, by its name; actions that take none are not there.

    What names a row is the id of its request, as `source`, and its number within it.
    """
    contract, count = block.served.contract, len(block)
    constants = {
        "model": contract.name, "model_version": block.served.version, "run_id": run_id_of(contract.name),
    }  # fmt: skip
    predictions = pa.table(
        {
            **output_columns(block.predictions, contract),
            **{name: constant_column(value, count) for name, value in constants.items()},
            "source": block.per_row([answered.asked.id for answered in block.requests], pa.string()),
            "row": pa.array(block.numbers),
        }
    )
    rows = actions.taken(predictions)
    if not len(rows):
        return {}
    cells = block.cells(actions.inputs)
    inputs = pa.table({name: _as_sent([cells[name][row] for row in rows.tolist()]) for name in actions.inputs})
    found = actions.select(predictions.take(pa.array(rows)), inputs)
    return {name: _plain(table) for name, table in found.items() if len(table)}


def _plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which tables of several moments would not share."""
    kinds = [f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in table.schema]
    return table.cast(pa.schema([pa.field(f.name, kind) for f, kind in zip(table.schema, kinds, strict=True)]))


def _as_sent(cells: Sequence[Any]) -> pa.Array:
    """Cells [N] in the type that all have; as texts where they have several."""
    types = set(map(type, cells)) - {type(None)}
    if types <= {str} or types <= {int, float} or types <= {bool}:
        try:
            return pa.array(cells)
        except (pa.ArrowInvalid, OverflowError):
            return pa.array([_as_text(cell) for cell in cells], pa.string())
    return pa.array([_as_text(cell) for cell in cells], pa.string())


def _as_text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    return json.dumps(cell, ensure_ascii=False)


def together(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows in one table, each column in a type that holds all of its values."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.concat_tables(
            [_with_texts(table, _differing(tables)) for table in tables], promote_options="permissive"
        )


def _differing(tables: Sequence[pa.Table]) -> set[str]:
    types: dict[str, set[Any]] = {}
    for table in tables:
        for f in table.schema:
            types.setdefault(f.name, set()).add(f.type)
    return {name for name, found in types.items() if len(found - {pa.null()}) > 1}


def _with_texts(table: pa.Table, names: set[str]) -> pa.Table:
    fields: Mapping[str, pa.Field] = {f.name: pa.field(f.name, pa.string()) for f in table.schema if f.name in names}
    return table.cast(pa.schema([fields.get(f.name, f) for f in table.schema]))
