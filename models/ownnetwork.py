"""A user's own network: a Python file beside the model file, that training and export alone load."""

import hashlib
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from functools import partial
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import InputError

TRUNK, ENCODER = "Trunk", "Encoder"
ROWS = 3
"""Of the trial run; more than one, since batch normalisation needs several."""
LENGTH = 6
"""Ids of its longest text."""


def own_trunk(path: Path, sha256: str, in_features: int, out_features: int) -> nn.Module:
    """The file's `Trunk(in_features, out_features)`: encoded columns [N, in_features] -> [N, out_features].

    Raises InputError, naming file and line, when it can't be loaded, returns another shape, can't be exported, or gives
    a row other values by itself than among others.
    """
    make = partial(_make, path, sha256, TRUNK, in_features, out_features)
    example = torch.linspace(-1, 1, ROWS * in_features).reshape(ROWS, in_features)
    return _tried(path, make, [example, example[:1]], out_features)


def own_encoder(path: Path, sha256: str, example: Tensor, out_features: int) -> nn.Module:
    """The file's `Encoder(shape, out_features)`: a raw column [N, *shape] -> [N, out_features].

    `example` [N, *shape] has the column's type: uint8 pixels or int16 samples. Raises InputError as `own_trunk` does.
    """
    make = partial(_make, path, sha256, ENCODER, tuple(example.shape[1:]), out_features)
    varied = _varied(example)
    return _tried(path, make, [varied, varied[:1]], out_features)


def own_text_encoder(path: Path, sha256: str, ids: int, out_features: int) -> nn.Module:
    """The file's `Encoder(ids, out_features)`: tokens [N, L] int32 -> [N, out_features].

    There are `ids` of them, 0 to `ids - 1`; a row ends in zeros where others of its batch are longer. Raises
    InputError as `own_trunk` does, and when the number of these zeros changes the values.
    """
    make = partial(_make, path, sha256, ENCODER, ids, out_features)
    example = torch.zeros(ROWS, LENGTH, dtype=torch.int32)
    example[0, 0] = ids - 1
    example[1] = torch.arange(1, LENGTH + 1).clamp(max=ids - 1)
    longer = functional.pad(example, (0, LENGTH))
    examples = [example, example[:1], example[:1, :2], longer]
    return _tried(path, make, examples, out_features, dynamic=("rows", "length"))


def _varied(example: Tensor) -> Tensor:
    """Random values of the same type and shape, the last row zeros: blank, or silent."""
    most = 1 if example.dtype.is_floating_point else 100
    drawn = torch.rand(example.shape, generator=torch.Generator().manual_seed(0)) * most
    drawn[-1] = 0
    return drawn.to(example.dtype)


def _make(path: Path, sha256: str, name: str, *arguments: object) -> nn.Module:
    module = _load(path, sha256)
    if not hasattr(module, name):
        raise InputError(f"{path}: defines no class {name}")
    try:
        with _default_dtype_kept():
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
    module = ModuleType(f"own_network_{sha256[:16]}")
    module.__file__ = str(path)
    # Data classes look their module up there.
    sys.modules[module.__name__] = module
    try:
        with _default_dtype_kept():
            exec(compile(code, str(path), "exec"), module.__dict__)  # the very bytes whose hash was checked
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InputError(f"{path}: can't be loaded: {_where(path, error)}") from None
    return module


def _tried(
    path: Path,
    make: Callable[[], nn.Module],
    examples: Sequence[Tensor],
    out_features: int,
    dynamic: Sequence[str] = ("rows",),
) -> nn.Module:
    """The network, once a copy ran on the first example as in training, and on all as in use, in torch and exported.

    All examples begin with the same rows, beside others or longer in dimensions that are `dynamic`.
    """
    random_state = torch.get_rng_state()
    network = make()
    trial = _copy(path, network)
    _run(path, trial, examples[0], out_features)
    trial.eval()
    expected = _run(path, trial, examples[0], out_features)
    for example in examples[1:]:
        found = _run(path, trial, example, out_features)
        if not _close(found, expected):
            padded = example.shape[1:] != examples[0].shape[1:]
            how = "with more or fewer zeros behind it" if padded else "by itself than among others"
            raise InputError(f"{path}: gives a row other values {how}; it must not depend on the rest of its batch")
    _reload(path, make, random_state, trial, examples[0], expected)
    exported = _export(path, trial, examples[0], dynamic)
    for example in examples:
        _run_exported(path, exported, example, expected)
    return network


def _reload(
    path: Path, make: Callable[[], nn.Module], random_state: Tensor, trial: nn.Module, example: Tensor, expected: Tensor
) -> None:
    """Raises InputError unless a new network with the saved state of the trial gives the same values.

    Export loads a trained network like that, made with the random numbers of the first.
    """
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(random_state)
        again = make()
        try:
            again.load_state_dict(trial.state_dict())
        except Exception as error:
            said = " ".join(str(error).split())
            raise InputError(f"{path}: its saved state can't be loaded into a new network: {said}") from None
        again.eval()
        try:
            same = _close(_run(path, again, example, expected.shape[1]), expected)
        except InputError:
            same = False
    if not same:
        raise InputError(f"{path}: keeps state that is not saved; use register_buffer or nn.Parameter")


def _copy(path: Path, network: nn.Module) -> nn.Module:
    try:
        return deepcopy(network)
    except Exception as error:
        raise InputError(f"{path}: can't be copied: {_where(path, error)}") from None


def _run(path: Path, network: nn.Module, example: Tensor, out_features: int) -> Tensor:
    """The network's values [N, out_features]."""
    try:
        with torch.no_grad():
            values: Tensor = network(example)
            shape = tuple(values.shape)
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: fails on {list(example.shape)}: {_where(path, error)}") from None
    if shape != (len(example), out_features):
        raise InputError(f"{path}: returns {list(shape)} for {len(example)} rows; it should be [N, {out_features}]")
    if values.dtype != torch.float32:
        raise InputError(f"{path}: returns {str(values.dtype).removeprefix('torch.')}; it should be float32")
    if not values.isfinite().all():
        raise InputError(f"{path}: returns values that are not finite")
    return values


def _close(found: Tensor, expected: Tensor) -> bool:
    """Whether the values of the same rows are equal but for rounding."""
    return torch.allclose(found, expected[: len(found)], rtol=1e-3, atol=1e-4)


def _export(path: Path, network: nn.Module, example: Tensor, dynamic: Sequence[str]) -> torch.onnx.ONNXProgram:
    shapes = {axis: torch.export.Dim(name) for axis, name in enumerate(dynamic)}
    try:
        with _quiet():
            program = torch.onnx.export(
                network, (example,), dynamo=True, opset_version=20, dynamic_shapes=(shapes,), verbose=False
            )
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: can't be exported to ONNX: {_where(path, _root(error))}") from None
    return cast(torch.onnx.ONNXProgram, program)


def _run_exported(path: Path, program: torch.onnx.ONNXProgram, example: Tensor, expected: Tensor) -> None:
    try:
        (found,) = program(example)
    except Exception as error:
        raise InputError(f"{path}: exported to ONNX, fails on {list(example.shape)}: {_where(path, error)}") from None
    if not _close(found, expected):
        raise InputError(f"{path}: exported to ONNX, gives other values on {list(example.shape)} than in torch")


@contextmanager
def _default_dtype_kept() -> Iterator[None]:
    """Whatever the file sets for itself, other networks keep theirs."""
    usual = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints of its attempts."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.fx")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _root(error: BaseException) -> BaseException:
    return _root(error.__cause__) if error.__cause__ else error


def _where(path: Path, error: BaseException) -> str:
    """What went wrong and in which line of the file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    first = (said.splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" + (f" (line {line})" if line else "")
