"""Made-up rows of twenty columns, a version that was trained on some of them, and windows of later ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.columns import KINDS, ColumnSettings
from models.columns.boolean.feed import BooleanSettings
from models.columns.category.feed import CategorySettings
from models.columns.number.feed import NumberSettings
from models.contract import Contract, ContractColumn, SplitSpec
from models.profile import Profile, Rate
from models.sections import Monitor
from tasks.monitoring.counting import Counting
from tasks.monitoring.drift import Drift, compare
from tasks.monitoring.training import Rows, profile_rows
from tasks.scoring.predictor import Predictions

NUMBERS, SKEWED, CATEGORIES, BOOLEANS = 10, 4, 4, 2
"""Columns of each sort."""
DISTINCT = 30
"""Values of a category."""
TRAIN, TEST = 20_000, 5_000
Columns = dict[str, pa.Array]


def made_rows(rng: np.random.Generator, rows: int, shifted: str | None = None, by: float = 0.0) -> Columns:
    """Parsed columns, some cells missing; the number called `shifted` is `by` standard deviations higher."""
    columns = {f"number {i}": rng.normal(i, 1 + i, rows) for i in range(NUMBERS)}
    columns |= {f"skewed {i}": rng.lognormal(0, 0.5 + 0.2 * i, rows) for i in range(SKEWED)}
    if shifted:
        columns[shifted] = columns[shifted] + by * columns[shifted].std()
    made: Columns = {name: pa.array(values, mask=rng.random(rows) < 0.05) for name, values in columns.items()}
    names = pa.array([f"value {i}" for i in range(DISTINCT)])
    for i in range(CATEGORIES):
        codes = np.minimum(rng.zipf(1.5, rows) - 1, DISTINCT - 1)
        made[f"category {i}"] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)
    return made | {f"flag {i}": pa.array(rng.random(rows) < 0.1 + 0.3 * i) for i in range(BOOLEANS)}


def made_contract(columns: Mapping[str, pa.Array]) -> Contract:
    """The contract of a version that was trained on the columns."""
    settings: dict[str, ColumnSettings] = {
        name: {"c": CategorySettings, "f": BooleanSettings}.get(name[0], NumberSettings)() for name in columns
    }
    return Contract(
        name="made",
        task="binary",
        target="y",
        columns=tuple(
            ContractColumn(name=name, settings=each, statistics=KINDS[each.kind].fit([columns[name]], each))
            for name, each in settings.items()
        ),
        missing=(),
        classes=(0, 1),
        threshold=0.5,
        split=SplitSpec(rule="hash", columns=("key",), validation=0.1, test=0.2),
        **dict.fromkeys(("snapshot", "model_file", "code", "graph_sha256"), ""),
    )


@dataclass(frozen=True)
class Formula:
    """Stands for a trained version: the probability follows from a few of the columns."""

    contract: Contract

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        """Two classes."""
        first, second = (np.nan_to_num(columns[f"number {i}"].to_numpy(zero_copy_only=False)) for i in (0, 1))
        sure = 1 / (1 + np.exp(-(first - second + 1)))
        both = np.column_stack([1 - sure, sure]).astype(np.float32)
        return Predictions((sure >= 0.5).astype(np.int64), both, None)


@dataclass(frozen=True)
class Watch:
    """A version and the profile of its training."""

    version: Formula
    stored: Profile

    def drift(self, columns: Columns) -> Drift:
        """What a window of rows has come to."""
        counting = Counting(self.version.contract, self.stored, {})
        counting.add(columns, self.version.predict(columns))
        return compare(self.stored, counting.profile(Rate(count=0, rows=counting.rows)), Monitor())


def watch(rng: np.random.Generator) -> Watch:
    """A version that was trained on made rows."""
    train, test = made_rows(rng, TRAIN), made_rows(rng, TEST)
    version = Formula(made_contract(train))
    rows = (Rows(lambda: [train], lambda: [train]), Rows(lambda: [test], lambda: [test]))
    return Watch(version, profile_rows(version, {}, *rows, Rate(count=0, rows=TRAIN + TEST)))


def shifts(watched: Watch, rng: np.random.Generator, windows: int, rows: int, by: float) -> Iterator[bool]:
    """Of each window whether the column that is shifted in it, another one each time, was noticed."""
    names = [column.name for column in watched.version.contract.columns if column.settings.kind == "number"]
    for number in range(windows):
        shifted = names[number % len(names)]
        yield shifted in {change.column for change in watched.drift(made_rows(rng, rows, shifted, by)).drifted}


def false_alarms(watched: Watch, rng: np.random.Generator, windows: int, rows: int) -> Iterator[bool]:
    """Of each window whether anything of it is taken for drift, where nothing has changed."""
    for _ in range(windows):
        yield bool(watched.drift(made_rows(rng, rows)).drifted)
