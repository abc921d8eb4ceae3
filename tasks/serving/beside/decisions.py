"""The rows of live decisions that actions take, as batch scoring's outboxes have them."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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


def select(actions: Actions, block: Block) -> dict[str, list[pa.Table]]:
    """The rows that each action takes, by its name; actions that take none are not there.

    What names a row is the id of its request, as `source`, and its number within it.
    """
    rows = actions.taken(output_columns(block.predictions, block.served.contract))
    if not len(rows):
        return {}
    cells = block.cells(actions.inputs)
    found: dict[str, list[pa.Table]] = {}
    for some in _of_like_types(rows, [cells[name] for name in actions.inputs]):
        inputs = pa.table({name: _as_sent([cells[name][row] for row in some]) for name in actions.inputs})
        for name, table in actions.select(_predicted(block, some), inputs).items():
            if len(table):
                found.setdefault(name, []).append(_plain(table))
    return found


def _predicted(block: Block, rows: list[int]) -> pa.Table:
    """Prediction columns of some rows, with what names the row and its version."""
    contract, places = block.served.contract, np.array(rows)
    requests = np.searchsorted(np.cumsum(block.counts), places, side="right").tolist()
    constants = {
        "model": contract.name, "model_version": block.served.version, "run_id": run_id_of(contract.name),
    }  # fmt: skip
    return pa.table(
        {
            **output_columns(block.predictions.take(places), contract),
            **{name: constant_column(value, len(rows)) for name, value in constants.items()},
            "source": pa.array([block.requests[request].asked.id for request in requests], pa.string()),
            "row": pa.array(block.numbers[places]),
        }
    )


def _of_like_types(rows: NDArray[np.int64], columns: Sequence[Sequence[Any]]) -> list[list[int]]:
    """The rows, those apart whose cells have other types: what one caller sends changes nothing for another one."""
    alike: dict[tuple[type, ...], list[int]] = {}
    for row in rows.tolist():
        alike.setdefault(tuple(type(cells[row]) for cells in columns), []).append(row)
    return [*alike.values()]


def _plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which tables of several moments would not share."""
    kinds = [f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in table.schema]
    return table.cast(pa.schema([pa.field(f.name, kind) for f, kind in zip(table.schema, kinds, strict=True)]))


def _as_sent(cells: Sequence[Any]) -> pa.Array:
    """Cells [N] of one type; as texts what is no plain value."""
    if not cells or isinstance(cells[0], str | int | float | None):
        try:
            return pa.array(cells)
        except OverflowError:
            # Whole numbers beyond 64 bits.
            return pa.array(map(str, cells), pa.string())
    return pa.array([_as_text(cell) for cell in cells], pa.string())


def _as_text(cell: Any) -> str:
    return base64.b64encode(cell).decode() if isinstance(cell, bytes) else json.dumps(cell, ensure_ascii=False)


def together(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """All rows in as few tables as columns of one type each allow; nothing is a value of every type."""
    alike: dict[str, list[pa.Table]] = {}
    for table in tables:
        alike.setdefault(table.schema.to_string(), []).append(table)
    found: list[pa.Table] = []
    for table in map(pa.concat_tables, alike.values()):
        for place, before in enumerate(found):
            try:
                found[place] = pa.concat_tables([before, table], promote_options="permissive")
                break
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                continue
        else:
            found.append(table)
    return found
