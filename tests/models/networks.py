"""Small networks and matching inputs for the tests."""

import numpy as np
import torch
from torch import Tensor

from models.columns import KINDS, ColumnSettings, Statistics
from models.columns.boolean.feed import BooleanStatistics
from models.columns.category.statistics import CategoryStatistics
from models.columns.datetime.statistics import DatetimeStatistics
from models.columns.number.statistics import fit_number
from models.heads import TargetStatistics
from models.network import FusionNetwork, build_network
from models.sections import Network

SMALL = Network(width=16, depth=2, dropout=0.1, members=3, embedding=4)
BINARY = TargetStatistics(prior=(0.8, 0.2))
VALUE = TargetStatistics(mean=100.0, scale=10.0)


def every_kind() -> list[tuple[ColumnSettings, Statistics]]:
    """Two numbers and one column of each other kind."""
    numbers = np.random.default_rng(0).normal(size=200).astype(np.float32)
    return [
        (KINDS["number"].settings(), fit_number(numbers)),
        (
            KINDS["category"].settings(),
            CategoryStatistics(count=9, missing=0, vocabulary=("a", "b"), counts=(5, 4), rare=0),
        ),
        (KINDS["boolean"].settings(), BooleanStatistics(count=9, missing=0, true=4)),
        (KINDS["datetime"].settings(), DatetimeStatistics(count=9, missing=0, first=0.0, last=1e9)),
        (KINDS["number"].settings(), fit_number(numbers * 10)),
    ]


def inputs_of_every_kind(rows: int) -> dict[str, Tensor]:
    """Random inputs for `every_kind`, some values missing."""
    rng = np.random.default_rng(1)
    number = rng.normal(size=(rows, 2)).astype(np.float32)
    number[::5, 0] = np.nan
    date = rng.uniform(-1e9, 2e9, size=(rows, 1))
    date[::7] = np.nan
    return {
        "number": torch.from_numpy(number),
        "category": torch.from_numpy(rng.integers(0, 4, (rows, 1))),
        "boolean": torch.from_numpy(rng.integers(0, 2, (rows, 1)).astype(np.float32)),
        "datetime": torch.from_numpy(date),
    }


def network_of_every_kind(target: TargetStatistics = BINARY, seed: int = 0) -> FusionNetwork:
    """An untrained small network, ready to predict."""
    return build_network(every_kind(), target, SMALL, seed).eval()
