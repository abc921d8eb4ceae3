"""Tables and their first model files, for tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from models.modelfile import ModelFile, read_model_file
from tasks.data.inspect import Proposal, propose

ROWS = 400


def table(**columns: object) -> pd.DataFrame:
    """Rows with a target that `signal` predicts fairly well, and no better."""
    random = np.random.default_rng(0)
    signal = random.normal(size=ROWS)
    y = np.where(signal + random.normal(size=ROWS) > 0.8, "yes", "no")
    return pd.DataFrame({"signal": signal.round(3), "y": y, **columns})


def proposed(tmp_path: Path, frame: pd.DataFrame, target: str = "y") -> tuple[ModelFile, Proposal]:
    frame.to_csv(tmp_path / "data.csv", index=False)
    proposal = propose([str(tmp_path / "data.csv")], target, "m", tmp_path)
    (tmp_path / "m.toml").write_text(proposal.text, encoding="utf-8")
    return read_model_file(tmp_path / "m.toml"), proposal
