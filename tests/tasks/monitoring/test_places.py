"""Rows of groups counted at once are counted as `Counting` counts the rows of each."""

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.profile import Bins, Profile, Rate
from tasks.monitoring.counting import Counting
from tasks.monitoring.places import Places
from tasks.monitoring.training import Rows, profile_rows
from tasks.scoring.predictor import Predictions
from tests.contracts import contract_of

SETTINGS = {
    "load": KINDS["number"].settings(),
    "shop": KINDS["category"].settings(),
    "name": KINDS["category"].settings(sensitive=True),
    "pay": KINDS["number"].settings(sensitive=True),
    "night": KINDS["boolean"].settings(),
}


class Saying:
    """A version that says what the load is."""

    contract = contract_of(SETTINGS, "binary", classes=("low", "high"))

    def predict(self, columns: dict[str, pa.Array]) -> Predictions:
        loads = np.nan_to_num(KINDS["number"].to_input(columns["load"], SETTINGS["load"]))
        high = (1 / (1 + np.exp(-loads))).astype(np.float32)
        return Predictions((high > 0.5).astype(np.int64), np.stack([1 - high, high], axis=1), None)


def columns(count: int, seed: int) -> dict[str, pa.Array]:
    random = np.random.default_rng(seed)
    holes = random.random((5, count)) < 0.1
    raw = [
        random.normal(0, 3, count).round(1),
        random.choice(["north", "south", "x", "y"], count),
        random.choice(["ann", "bob", "eve"], count),
        random.normal(0, 3, count),
        random.random(count) < 0.5,
    ]
    arrays = [pa.array(values.tolist(), mask=hole) for values, hole in zip(raw, holes, strict=True)]
    return {
        name: KINDS[s.kind].parse(array, s, ()).values
        for (name, s), array in zip(SETTINGS.items(), arrays, strict=True)
    }


def without_ends(profile: Profile) -> Profile:
    """What bins know beside their counts is not counted by group."""
    bare = {"low": None, "high": None, "mean": None}
    sides = {**profile.columns, "": profile.predictions}
    for name, side in sides.items():
        facets = {n: f.model_copy(update=bare) if isinstance(f, Bins) else f for n, f in side.facets.items()}
        sides[name] = side.model_copy(update={"facets": facets})
    predictions = sides.pop("")
    return profile.model_copy(update={"columns": sides, "predictions": predictions})


def test_each_group_has_the_counts_of_its_own_rows() -> None:
    version, learnt = Saying(), columns(500, 0)
    rows = Rows(lambda: [learnt], lambda: [learnt])
    frame = profile_rows(version, {}, rows, rows, Rate(count=0, rows=500))
    places, later = Places(version.contract, frame, {}), columns(300, 1)
    groups = np.random.default_rng(2).integers(0, 4, 300) % 3
    counts = places.count(later, version.predict(later), groups, 4)
    assert counts.shape == (4, places.cells)
    assert not counts[3].any()
    for group in range(3):
        own = {name: values.filter(pa.array(groups == group)) for name, values in later.items()}
        counting = Counting(version.contract, frame, {})
        counting.add(own, version.predict(own))
        rejected, many = Rate(count=1, rows=9), int((groups == group).sum())
        assert places.profile(counts[group], many, rejected) == without_ends(counting.profile(rejected))


def test_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    version, learnt = Saying(), columns(200, 0)
    rows = Rows(lambda: [learnt], lambda: [learnt])
    places = Places(version.contract, profile_rows(version, {}, rows, rows, Rate(count=0, rows=200)), {})
    parts = [columns(50, seed) for seed in (1, 2)]
    whole = {name: pa.concat_arrays([part[name] for part in parts]) for name in SETTINGS}
    apart = sum(places.count(part, version.predict(part), np.zeros(50, np.int64), 1) for part in parts)
    assert (apart == places.count(whole, version.predict(whole), np.zeros(100, np.int64), 1)).all()
