"""Promise 5: a scoring run resolves its version once and stamps it on what it writes, whatever the champion does."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks.registry.connection import connect
from tasks.registry.versions import find_alias
from tasks.scoring import steps
from tests.conftest import Copy
from tests.small import cli


def test_a_champion_that_changes_during_the_run_changes_nothing_in_it(
    copy: Copy, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pinned"
    copy(name)
    assert cli("promote", name).code == 0
    copy(name)
    real = steps.versions.download

    def promoted_meanwhile(*words: Any) -> Path:
        connect().set_registered_model_alias(name, "champion", "2")
        return real(*words)

    monkeypatch.setattr(steps.versions, "download", promoted_meanwhile)
    done = cli("score", name, "--input", rows_csv, "--output", tmp_path / "out", "--json")
    assert done.code == 0, done.both
    champion = find_alias(name, "champion")
    assert champion is not None and champion.number == "2"
    assert done.json["version"] == "1"
    scored = pd.read_parquet(done.json["predictions"])
    assert set(scored["model"]) == {name}
    assert set(scored["model_version"]) == {"1"}
    assert set(scored["run_id"]) == {done.json["run_id"]}
    assert connect().get_run(done.json["run_id"]).data.tags["version"] == "1"
