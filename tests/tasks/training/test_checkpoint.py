"""A checkpoint is whole or absent, and can't run code."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import OutsideError
from tasks.training.checkpoint import load_checkpoint, save_checkpoint


def test_a_state_survives_the_round_trip(tmp_path: Path) -> None:
    state = {"weights": {"w": torch.arange(3.0)}, "best": (2, 0.25), "history": [{"epoch": 1}]}
    save_checkpoint(state, tmp_path / "deep" / "last.pt")
    loaded = load_checkpoint(tmp_path / "deep" / "last.pt")
    assert loaded is not None
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])  # type: ignore[index]
    assert (loaded["best"], loaded["history"]) == (state["best"], state["history"])


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none.pt") is None


def test_a_crash_while_writing_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint({"epoch": 1}, path)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutsideError, match="No space left"):
        save_checkpoint({"epoch": 2}, path)
    assert load_checkpoint(path) == {"epoch": 1}


def test_a_damaged_checkpoint_is_one_plain_line(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(OutsideError, match=r"damaged checkpoint; train with --fresh"):
        load_checkpoint(path)


class Canary:
    """Unpickling it would run code."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("canary",)


def test_loading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Canary()}, tmp_path / "last.pt")
    with pytest.raises(OutsideError, match="damaged"):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "canary").exists()
