"""The profile of a training, on a small table and on rows of texts, pictures and recordings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.measuring.windows import Formula, made_contract, made_rows
from models.columns.category.feed import CategorySettings
from models.columns.datetime.feed import DatetimeSettings
from models.columns.number.feed import NumberSettings
from models.profile import Bins, Names, Profile, Rate
from tasks.monitoring.training import Rows, profile_rows
from tasks.scoring.predictor import Predictions
from tests.contracts import contract_of

GOLDEN = Path(__file__).with_name("profile_v1.json")


def pieces(columns: Mapping[str, pa.Array], size: int) -> list[dict[str, pa.Array]]:
    rows = len(next(iter(columns.values())))
    return [{name: c.slice(start, size) for name, c in columns.items()} for start in range(0, rows, size)]


def made_profile(size: int, **settings: Any) -> Profile:
    rng = np.random.default_rng(0)
    train, test = made_rows(rng, 900), made_rows(rng, 300)
    contract = made_contract(train)
    columns = [c.model_copy(update={"settings": c.settings.model_copy(update=settings)}) for c in contract.columns]
    version = Formula(contract.model_copy(update={"columns": tuple(columns)}))
    rows = [Rows(lambda r=r: pieces(r, size), lambda r=r: pieces(r, size)) for r in (train, test)]  # type: ignore[misc]
    return profile_rows(version, {}, *rows, Rate(count=3, rows=1203))


def test_the_profile_says_how_each_column_is_distributed() -> None:
    found = made_profile(1000)
    assert (found.rows, found.rejected.count, found.overlap) == (900, 3, 1)
    number = found.columns["number 3"].facets
    missing, value = number["missing"], number["value"]
    assert isinstance(missing, Rate) and isinstance(value, Bins)
    assert missing.rows == 900 and 25 < missing.count < 65
    assert sum(value.counts) == 900 - missing.count and len(value.counts) == 20
    assert max(value.counts) - min(value.counts) <= 1
    flag = found.columns["flag 1"].facets["value"]
    assert isinstance(flag, Names) and set(flag.names) == {"true", "false"} and sum(flag.cells) == 900
    unseen = found.columns["category 0"].facets["unseen"]
    assert isinstance(unseen, Rate) and unseen.rows == 300
    label, sure = (found.predictions.facets[name] for name in ("label", "probability"))
    assert isinstance(label, Names) and label.names == ("0", "1") and sum(label.cells) == 300
    assert isinstance(sure, Bins) and sum(sure.counts) == 300


def test_the_batches_make_no_difference() -> None:
    whole, parts = made_profile(1000), made_profile(7)
    assert whole.model_dump(exclude={"columns"}) == parts.model_dump(exclude={"columns"})
    for name, column in whole.columns.items():
        for facet, cells in column.facets.items():
            other = parts.columns[name].facets[facet]
            assert cells.model_dump(exclude={"mean"}) == other.model_dump(exclude={"mean"})
            if isinstance(cells, Bins) and isinstance(other, Bins):
                assert cells.mean == pytest.approx(other.mean)


def test_nothing_of_sensitive_values_is_in_it() -> None:
    found = made_profile(1000, sensitive=True)
    assert set(found.columns["number 3"].facets) == {"missing"}
    named = found.columns["category 0"].facets["value"]
    assert isinstance(named, Names) and all(name.startswith("sha256:") for name in named.names)
    assert '"value 1"' not in found.model_dump_json()


class Said:
    """A version that gives each row its own number as probability."""

    contract = contract_of(
        {"size": NumberSettings(), "shop": CategorySettings(min_count=1), "at": DatetimeSettings()},
        "binary",
        classes=("no", "yes"),
    )

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        sure = columns["size"].to_numpy(zero_copy_only=False) / 10
        return Predictions((sure > 0.5).astype(np.int64), np.stack([1 - sure, sure], 1).astype(np.float32), None)


def test_a_profile_worked_out_by_hand() -> None:
    def rows(size: list[float | None], shop: list[str | None]) -> Rows:
        at = pa.array([0] * len(size), pa.timestamp("us", tz="UTC"))
        columns = {"size": pa.array(size, pa.float64()), "shop": pa.array(shop).dictionary_encode(), "at": at}
        return Rows(lambda: [columns], lambda: [columns])

    train = rows([1, 2, 2, 4, None], ["a", "b", "a", None, "c"])
    test = rows([2, 8, 9], ["a", "z", "z"])
    by_hand = json.loads(GOLDEN.read_text())
    found = profile_rows(Said(), {}, train, test, Rate(count=1, rows=9))
    assert found.model_dump(mode="json") == by_hand
    assert Profile.model_validate(by_hand) == found
