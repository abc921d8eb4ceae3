import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.scoring import remotelock, score, store
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import Scores, score_files
from tests.conftest import Small
from tests.servers import Address
from tests.tasks.scoring.in_databases import rows_with_rejects
from tests.tasks.scoring.scored_files import STAMP, Run


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    ours = ("(_produce)", "(_run)")
    assert not [thread.name for thread in threading.enumerate() if thread.name.endswith(ours)]


@pytest.fixture(scope="module")
def predictor(small: Small) -> Predictor:
    return Predictor.load(small.downloaded)


@pytest.fixture(scope="module")
def expected(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What scoring a file of the same rows gives."""
    folder = tmp_path_factory.mktemp("expected")
    rows_with_rejects(500).to_csv(folder / "in.csv", index=False)
    scores = score_files(predictor, [str(folder / "in.csv")], folder / "out.parquet", STAMP)
    assert (scores.scored, scores.rejected) == (498, 2)
    return pd.read_parquet(folder / "out.parquet").astype({"id": int})


@pytest.fixture
def run(predictor: Predictor, tmp_path: Path) -> Run:
    """Scores inputs into `tmp_path/out`."""

    def with_inputs(*inputs: Path | str, output: str = "out", **more: Any) -> Scores:
        return score_files(predictor, [str(path) for path in inputs], tmp_path / output, STAMP, **more)

    return with_inputs


@pytest.fixture
def place(s3: Address, tmp_path: Path) -> str:
    return s3(f"{tmp_path.name}/out")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remotelock, "BEAT", 0.2)
    monkeypatch.setattr(remotelock, "SILENT", 0.6)
    monkeypatch.setattr(store, "WAITS", (0.01, 0.01))
    monkeypatch.setattr(score, "WAITS", (0.01, 0.01))
    yield
