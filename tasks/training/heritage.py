"""What a version leaves to its successor: weights, and which column, value or token each of them belongs to."""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.classes import Classes
from models.columns import ColumnSettings, Statistics
from models.columns.category.statistics import CategoryStatistics
from models.columns.text.statistics import TextStatistics
from models.contract import SplitSpec
from models.errors import InputError
from models.heads import TargetStatistics
from models.network import FusionNetwork
from tasks.data.hashing import STEP, Hashes, hash_values, mix
from tasks.training.checkpoint import save_checkpoint


@dataclass(frozen=True)
class Heritage:
    """Trained weights by name, and what they are about. Values and words are hashes, as they are in the graph."""

    state: Mapping[str, Tensor]
    columns: Mapping[str, str]
    """Kinds, in the order of the model file."""
    entries: Mapping[str, Tensor]
    """Of columns with a vocabulary: the hash of each entry, int64, in the order of their vectors."""
    features: Mapping[str, int]
    """Outputs of each encoder."""
    classes: tuple[str, ...]
    mean: float
    scale: float
    """Of a regression's target."""
    split: Mapping[str, Any]


def heritage_of(
    network: FusionNetwork,
    columns: Mapping[str, ColumnSettings],
    statistics: Mapping[str, Statistics],
    classes: Classes,
    target: TargetStatistics,
    split: SplitSpec,
) -> Heritage:
    """What the network has learnt, in the terms of these columns and classes."""
    found = {name: entries_of(statistics[name]) for name in columns}
    return Heritage(
        state=network.state_dict(),
        columns={name: settings.kind for name, settings in columns.items()},
        entries={name: torch.from_numpy(hashes.view(np.int64)) for name, hashes in found.items() if hashes is not None},
        features={group: int(encoder.out_features) for group, encoder in network.encoders.items()},  # type: ignore[arg-type]
        classes=tuple(map(repr, classes)),
        mean=target.mean,
        scale=target.scale,
        split=split.model_dump(mode="json"),
    )


def entries_of(statistics: Statistics) -> Hashes | None:
    """A hash for each entry of the column's vocabulary, in the order of the vectors; None where it has none."""
    if isinstance(statistics, CategoryStatistics):
        return hash_values(pa.array(statistics.vocabulary, pa.string()))
    if isinstance(statistics, TextStatistics):
        words = hash_values(pa.array(statistics.words, pa.string()))
        keys = (np.array(each, dtype=np.int64).view(np.uint64) for each in (statistics.pairs, statistics.pieces))
        sorts = enumerate((words, *keys))
        return np.concatenate([mix(each + np.array([sort], dtype=np.uint64) * STEP) for sort, each in sorts])
    return None


def write_heritage(heritage: Heritage, path: Path) -> None:
    """The heritage in `path`: tensors and plain values. Raises OutsideError when the disk refuses."""
    save_checkpoint({key: _plain(value) for key, value in asdict(heritage).items()}, path)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def read_heritage(path: Path) -> Heritage:
    """The heritage in `path`; tensors and plain values are read, never code. Raises InputError where it is damaged."""
    try:
        return Heritage(**torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, pickle.UnpicklingError):
        raise InputError(f"{path}: damaged weights of an earlier version; nothing can begin with them") from None
