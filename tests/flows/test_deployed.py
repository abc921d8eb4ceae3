"""Deployments whose model file is gone go, whichever release has made them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flows.deployed import MODEL_FILE, Change, forsaken


def deployment(name: str, path: Path, earlier: bool = False) -> Any:
    environment = {} if earlier else {MODEL_FILE: str(path)}
    parameters = {"model_file": str(path)} if earlier else {}
    return SimpleNamespace(name=name, job_variables={"env": environment}, parameters=parameters)


def test_what_is_left_of_files_that_are_gone_is_removed(tmp_path: Path) -> None:
    here = tmp_path / "here.toml"
    here.touch()
    there = {
        "train/kept": deployment("kept", here),
        "train/gone": deployment("gone", tmp_path / "gone.toml"),
        "score/gone": deployment("gone", tmp_path / "gone.toml"),
        "train/older": deployment("older", tmp_path / "older.toml", earlier=True),
        "train/renamed": deployment("renamed", here),
    }
    assert list(forsaken(there, {here: "kept"})) == [
        Change("train/gone", "removed", f"{tmp_path / 'gone.toml'} is gone"),
        Change("score/gone", "removed", f"{tmp_path / 'gone.toml'} is gone"),
        Change("train/older", "removed", f"{tmp_path / 'older.toml'} is gone"),
        Change("train/renamed", "removed", f"{here} names another model now"),
    ]
