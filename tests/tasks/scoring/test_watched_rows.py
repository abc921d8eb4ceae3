"""Rows that are counted while they are scored: each once, whatever happens meanwhile, as monitoring counts them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.profile import Profile, Rate, read_profile
from tasks.monitoring.vocabulary import vocabularies_of
from tasks.monitoring.watching import Watching, joined, share_of
from tasks.monitoring.window import find_sources, profile_window, window_digest, window_of
from tasks.scoring.batch import Accepted
from tasks.scoring.claim import LocalPlace, claimed
from tasks.scoring.destination import destination
from tasks.scoring.inputs import look_at
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import Scores, score_into
from tests.conftest import Small
from tests.small import table
from tests.tasks.scoring.scored_files import STAMP

ROWS, SHARD = 900, 100


class StoppedError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def frame(small: Small) -> Profile:
    found = read_profile(small.downloaded)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "in.csv"
    rows = table(ROWS, seed=9).drop(columns="broken").astype({"load": object})
    rows.loc[::90, "load"] = 1000
    rows.to_csv(path, index=False)
    return path


class Stopping(Watching):
    """Stops in the middle of a shard, once."""

    stop_at: int | None = None

    def add(self, accepted: Accepted) -> None:
        super().add(accepted)
        if self.stop_at and accepted.rows.max() >= self.stop_at:
            self.stop_at = None
            raise StoppedError


def watching(small: Small, frame: Profile, stop_at: int | None = None, share: float = 1.0) -> Stopping:
    contract = Predictor.load(small.downloaded).contract
    made = Stopping(contract, frame, vocabularies_of(small.downloaded, contract), share)
    made.stop_at = stop_at
    return made


def scored(small: Small, given: Path, output: Path, watch: Watching) -> Scores:
    """A run that is watched, or what is missing of one."""
    request, wanted = Request("small/1", (str(given),), Options(shard_rows=SHARD, monitor=True)), destination(output)
    sources = look_at(request.inputs, wanted)
    with claimed(wanted, False) as sink:
        what_is_left(sink, request, sources, False)
        return score_into(sink, Predictor.load(small.downloaded), sources, STAMP, request, watch=watch)


def test_a_scored_window_is_what_monitoring_makes_of_the_same_rows(
    small: Small, frame: Profile, given: Path, tmp_path: Path
) -> None:
    seen = window_of(frame, scored(small, given, tmp_path / "out", watching(small, frame)))
    predictor = Predictor.load(small.downloaded)
    known = vocabularies_of(small.downloaded, predictor.contract)
    apart = profile_window(predictor, known, frame, find_sources([str(given)], Options(), (), False), Options())
    assert (seen.rows, seen.rejected, seen.reasons) == (apart.rows, apart.rejected, apart.reasons)
    assert (seen.rows, seen.rejected, seen.profile.rows) == (900, 10, 890)
    assert without_means(seen.profile) == without_means(apart.profile)
    rows = pd.read_csv(given).drop(index=range(0, ROWS, 90))
    heat: Any = seen.profile.columns["heat"].facets["value"]
    assert heat.mean == pytest.approx(rows["heat"].mean()) and sum(heat.counts) == rows["heat"].notna().sum()
    missing = seen.profile.columns["shop"].facets["missing"]
    assert missing == Rate(count=int(rows["shop"].isna().sum()), rows=890)


def without_means(profile: Profile) -> Any:
    """Sums of fractions depend on their order."""
    told = profile.model_dump(mode="json")
    for column in (*told["columns"].values(), told["predictions"]):
        for facet in column["facets"].values():
            facet.pop("mean", None)
    return told


@pytest.mark.parametrize("stop_at", [1, 250, 860])
@pytest.mark.parametrize("process", ["another", "the same"])
def test_a_run_that_was_stopped_counts_each_row_once(
    small: Small, frame: Profile, given: Path, tmp_path: Path, stop_at: int, process: str
) -> None:
    whole = scored(small, given, tmp_path / "whole", watching(small, frame))
    watch = watching(small, frame, stop_at)
    with pytest.raises(StoppedError):
        scored(small, given, tmp_path / "out", watch)
    again = watch if process == "the same" else watching(small, frame)
    assert scored(small, given, tmp_path / "out", again).watched == whole.watched
    assert len(whole.watched) == ROWS // SHARD


def test_of_a_large_run_the_same_share_is_counted_whenever_it_is_read(
    small: Small, frame: Profile, given: Path, tmp_path: Path
) -> None:
    assert (share_of(None), share_of(900), share_of(2_000_000)) == (1, 1, 0.01)
    first = scored(small, given, tmp_path / "first", watching(small, frame, share=0.3))
    with pytest.raises(StoppedError):
        scored(small, given, tmp_path / "out", watching(small, frame, 250, share=0.3))
    assert scored(small, given, tmp_path / "out", watching(small, frame, share=1.0)).watched == first.watched
    assert window_of(frame, first).profile.rows / 890 == pytest.approx(0.3, abs=0.06)
    assert window_of(frame, first).profile.rejected == Rate(count=10, rows=900)


def test_the_share_is_spread_over_all_rows() -> None:
    from tasks.monitoring.watching import _scattered

    numbers = _scattered("a.csv", np.arange(1, 100_001))
    assert np.histogram(numbers, 20, (0, 1))[0].min() > 4_700
    chosen = np.flatnonzero(numbers < 0.1)
    assert np.histogram(chosen, 20, (0, 100_000))[0].min() > 400
    assert np.bincount(chosen % 16).min() > 500


def test_of_many_small_files_other_rows_are_chosen_in_each() -> None:
    from tasks.monitoring.watching import _scattered

    chosen = [_scattered(f"plant/{day}.csv", np.arange(1, 101)) < 0.1 for day in range(400)]
    by_place = np.sum(chosen, axis=0)
    assert by_place.min() > 15 and by_place.max() < 70
    assert (_scattered("plant/7.csv", np.arange(51, 101)) < 0.1).tolist() == chosen[7][50:].tolist()


def test_of_a_period_all_rows_are_counted_as_nobody_knows_how_many_there_are(given: Path) -> None:
    from tasks.scoring.steps import rows_to_count

    sources = look_at([str(given)], None)
    assert rows_to_count(sources, Options()) == pytest.approx(ROWS, rel=0.1)
    assert rows_to_count(sources, Options(since="2026-01-01")) is None
    assert rows_to_count(sources, Options(until="2026-01-01")) is None


def test_a_window_of_files_is_the_same_however_many_of_its_rows_were_counted(
    small: Small, frame: Profile, given: Path, tmp_path: Path
) -> None:
    options, sources = Options(), look_at([str(given)], None)
    some = window_of(frame, scored(small, given, tmp_path / "some", watching(small, frame, share=0.3)))
    every = window_of(frame, scored(small, given, tmp_path / "every", watching(small, frame)))
    digest = window_digest(sources, options, every)
    assert some.profile != every.profile and window_digest(sources, options, some) == digest
    others = [
        window_digest(sources, replace(options, since="2026-01-01"), every),
        window_digest(sources, replace(options, since="2026-01-01", time="made"), every),
        window_digest(sources, options, replace(every, rows=899)),
        window_digest(sources, options, replace(every, reasons={"out of range": 9})),
    ]
    assert len({digest, *others}) == 5
    # Of a query only its words are known beforehand.
    asked = replace(sources, fingerprints=({"path": "db", "query": "SELECT 1", "key": "id"},))
    assert window_digest(asked, options, some) != window_digest(asked, options, every)


def test_a_run_tells_what_its_inputs_were_when_their_rows_were_read(
    small: Small, frame: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "in.csv"
    table(200, seed=9).drop(columns="broken").to_csv(given, index=False)
    before = look_at([str(given)], None).fingerprints
    with monkeypatch.context() as killed:
        killed.setattr(LocalPlace, "move", lambda *_: (_ for _ in ()).throw(StoppedError))
        with pytest.raises(StoppedError):
            scored(small, given, tmp_path / "out", watching(small, frame))
    given.write_text(given.read_text() + "\n")
    assert scored(small, given, tmp_path / "out", watching(small, frame)).sources == before


def test_shards_without_values_add_nothing(frame: Profile, small: Small) -> None:
    predictor = Predictor.load(small.downloaded)
    empty = Watching(predictor.contract, frame, {}).taken()
    found = joined(frame, [empty, empty], Rate(count=0, rows=0))
    assert found.rows == 0 and found.columns["heat"].facets["value"].low is None  # type: ignore[union-attr]
    assert joined(frame, [], Rate(count=0, rows=0)) == found
