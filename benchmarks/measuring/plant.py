"""A simulated plant: machines fail by one rule, then a process change moves a sensor and the rule with it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

MODEL = "plant"
SENSORS = 10
MODEL_FILE = f"""
name = "{MODEL}"
[[sources]]
uri = "history/*.csv"
[target]
column = "failure"
positive = "1"
[columns]
{"".join(f'"sensor {i}" = "number"' + chr(10) for i in range(SENSORS))}"line" = "category"
[split]
key = "row"
[network]
width = 32
depth = 1
members = 4
[training]
epochs = 15
patience = 4
[gates]
average_precision = {{ beats_champion = true }}
[evaluation]
resamples = 50
[monitor]
input = "incoming/*.csv"
"""


@dataclass
class Plant:
    """Rows as they come, one after another; each has a number of its own."""

    folder: Path
    rng: np.random.Generator
    rows: int = 0

    def made(self, count: int, changed: bool = False) -> pd.DataFrame:
        """New rows with their labels, before or after the change of the process."""
        values = self.rng.normal(size=(count, SENSORS))
        line = self.rng.choice(["north", "south", "east"], count)
        first, second, third = values[:, 0], values[:, 1], values[:, 2]
        risk = 1.6 * second - 1.6 * third if changed else 1.6 * first + 1.6 * second
        if changed:
            # By two standard deviations: the sensor was mounted elsewhere, and what it says matters no more.
            values[:, 0] += 2.0
        failure = risk + self.rng.logistic(size=count) * 0.5 > 2.6
        table = {f"sensor {i}": values[:, i].round(4) for i in range(SENSORS)}
        numbers = np.arange(self.rows, self.rows + count)
        self.rows += count
        return pd.DataFrame({"row": numbers, **table, "line": line, "failure": failure.astype(int)})

    def begin(self, count: int) -> Path:
        """The model file, beside a history of so many rows."""
        for name in ("history", "incoming", "scored"):
            (self.folder / name).mkdir(parents=True)
        self.learnt(self.made(count), 0)
        path = self.folder / f"{MODEL}.toml"
        path.write_text(MODEL_FILE, encoding="utf-8")
        return path

    def comes_in(self, rows: pd.DataFrame, number: int) -> Path:
        """A window of rows without their labels, where monitoring looks for them."""
        path = self.folder / "incoming" / f"{number:03}.csv"
        rows.drop(columns="failure").to_csv(path, index=False)
        return path

    def learnt(self, rows: pd.DataFrame, number: int) -> None:
        """The same rows with their labels, where training looks for them."""
        rows.to_csv(self.folder / "history" / f"{number:03}.csv", index=False)
