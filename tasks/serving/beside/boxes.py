"""The folders of what live decisions lead to: one for each model and what its actions are."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

from models.actions import Action
from models.contract import Contract
from tasks.actions.outbox import ACTIONS_FILE, actions_text
from tasks.aside import flush_to_disk
from tasks.serving.beside.names import folder_name

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
    aside = box / f".{ACTIONS_FILE}.{uuid4().hex}"
    aside.write_text(actions_text(actions), encoding="utf-8")
    flush_to_disk(aside)
    aside.replace(box / ACTIONS_FILE)
    for folder in (box, box.parent, box.parent.parent):
        flush_to_disk(folder)


def restore_boxes(above: Path, contracts: Iterable[Contract]) -> None:
    """Notes once more where the rows of these versions go, in folders that have lost it. Raises OSError."""
    for contract in contracts:
        box = box_of(above, contract)
        if contract.actions and box.is_dir():
            begin_box(box, contract.actions)
