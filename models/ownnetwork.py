"""A user's own network: a Python file beside the model file, that training and export alone load."""

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import cast

import torch
from torch import nn

from models.errors import InputError

TRUNK, ENCODER = "Trunk", "Encoder"
ROWS = 3
"""Of the trial run; more than one, since batch normalisation needs several."""


def own_trunk(path: Path, sha256: str, in_features: int, out_features: int) -> nn.Module:
    """The file's `Trunk(in_features, out_features)`: encoded columns [N, in_features] -> [N, out_features].

    Raises InputError, naming file and line, when it can't be loaded or returns another shape.
    """
    trunk = _make(path, sha256, TRUNK, in_features, out_features)
    _try(path, trunk, torch.zeros(ROWS, in_features), out_features)
    return trunk


def own_encoder(path: Path, sha256: str, example: torch.Tensor, out_features: int) -> nn.Module:
    """The file's `Encoder(shape, out_features)`: a raw column [N, *shape] -> [N, out_features].

    `example` [N, *shape] has the column's type: uint8 pixels, int16 samples, or int64 ids of tokens ending in zeros,
    whose length changes from batch to batch. Raises InputError as `own_trunk` does.
    """
    encoder = _make(path, sha256, ENCODER, tuple(example.shape[1:]), out_features)
    _try(path, encoder, example, out_features)
    return encoder


def _make(path: Path, sha256: str, name: str, *arguments: object) -> nn.Module:
    module = _load(path, sha256)
    if not hasattr(module, name):
        raise InputError(f"{path}: defines no class {name}")
    try:
        made = getattr(module, name)(*arguments)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: {name} can't be made: {_where(path, error)}") from None
    if not isinstance(made, nn.Module):
        raise InputError(f"{path}: {name} is no torch.nn.Module")
    return made


def _load(path: Path, sha256: str) -> ModuleType:
    try:
        code = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from None
    if hashlib.sha256(code).hexdigest() != sha256:
        raise InputError(f"{path}: changed since the model file was read; start again")
    spec = importlib.util.spec_from_file_location(f"own_network_{sha256[:16]}", path)
    module = importlib.util.module_from_spec(cast(importlib.machinery.ModuleSpec, spec))
    # Data classes look their module up there.
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, str(path), "exec"), module.__dict__)  # the very bytes whose hash was checked
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InputError(f"{path}: can't be loaded: {_where(path, error)}") from None
    return module


def _try(path: Path, network: nn.Module, example: torch.Tensor, out_features: int) -> None:
    try:
        with torch.no_grad():
            shape = tuple(network(example).shape)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: fails on {list(example.shape)}: {_where(path, error)}") from None
    if shape != (len(example), out_features):
        raise InputError(f"{path}: returns {list(shape)} for {len(example)} rows; it should be [N, {out_features}]")


def _where(path: Path, error: BaseException) -> str:
    """What went wrong and in which line of the file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    first = (said.splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" + (f" (line {line})" if line else "")
