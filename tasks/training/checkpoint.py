"""Checkpoints: the whole state of a training after an epoch, written so that a crash never leaves half of one."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from models.errors import OutsideError


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """The state in `path`, replaced atomically. Raises OutsideError when the disk refuses."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutsideError(f"{path}: could not be written: {error}") from None


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state saved in `path`, on the CPU, or None where there is none. Tensors and plain values only, never code.

    Raises OutsideError when the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
        raise OutsideError(f"{path}: damaged checkpoint; train with --fresh to start anew") from None
    return state
