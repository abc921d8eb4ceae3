"""What earlier releases wrote is still read: a contract of the first format, and a ledger as the first one left it."""

import json
import shutil
from pathlib import Path

import pandas as pd

from tasks.scoring.ledger import FORMAT_VERSION, entry_of, pinned_of
from tasks.scoring.pyfunc import _load_pyfunc
from tests.conftest import Small

LATER_FIELDS = ("actions", "series", "sensitive_columns")
"""Of a contract, which its first format did not have."""
PINNED = {
    "run_id": "0" * 32, "asked": "churn", "model": "churn", "version": "1", "also": None, "inputs": ["/data/a.csv"],
    "options": {"max_rejects": 1.0}, "sources": [{"path": "/data/a.csv", "size": 10}], "shard_rows": 1000,
    "batch_rows": 1024, "threads": 2, "started": 1.5, "format_version": 1,
}  # fmt: skip
ENTRY = {
    "shard": "00000-000000000001", "source": "/data/a.csv", "first": 1, "last": 10, "rows": 10, "scored": 9,
    "rejected": 1, "passed": 0, "reasons": {"not finite": 1}, "labels": {"no": 9},
    "files": {"predictions": {"name": "p.parquet", "what": "predictions", "rows": 9, "bytes": 5, "sha256": "ab"}},
}  # fmt: skip


def test_a_version_of_the_first_format_predicts_as_it_did(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.downloaded, tmp_path / "older"))
    raw = json.loads((folder / "contract.json").read_text())
    older = {name: value for name, value in raw.items() if name not in LATER_FIELDS} | {"format_version": 1}
    older["split"] = {name: value for name, value in raw["split"].items() if name != "parsing"}
    assert raw["format_version"] > 1 and len(older) < len(raw)
    (folder / "contract.json").write_text(json.dumps(older))
    (folder / "profile.json").unlink()
    frame = pd.read_csv(rows_csv).drop([2, 6]).astype({"load": float})
    now, then = (_load_pyfunc(str(path)).predict(frame) for path in (small.downloaded, folder))
    pd.testing.assert_frame_equal(now, then)


def test_a_run_that_the_first_release_left_goes_on() -> None:
    pinned, entry = pinned_of(PINNED, "run.json"), entry_of(ENTRY)
    assert FORMAT_VERSION == 1, "add what the new format has to the tests above; this one stays"
    assert (pinned.version, pinned.inputs, pinned.earlier) == ("1", ("/data/a.csv",), ())
    assert (entry.files["predictions"].rows, entry.end, entry.taken) == (9, False, None)
