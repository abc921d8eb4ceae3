"""The rows of live decisions that actions take, as batch scoring's outboxes have them."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.actions.select import Actions
from tasks.scoring.output import constant_column, output_columns
from tasks.serving.beside.block import Block
from tasks.serving.beside.names import run_id_of


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
