"""A tiny model of mixed kinds: a text, a picture, a recording and a number in every row."""

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from tasks.export.exported import Parity
from tasks.scoring.predictor import Predictor
from tests.packages import export_quickly
from tests.shared import once
from tests.small import write_model

SIDE, RATE, SECONDS = 16, 4000, 0.2
WORDS = {"good": ["fine", "thanks", "great"], "bad": ["broken", "angry", "refund"]}
COLUMNS = f"""
[columns]
"message" = "text"
"photo" = {{ kind = "image", size = {SIDE} }}
"sound" = {{ kind = "audio", sample_rate = {RATE}, seconds = {SECONDS} }}
"price" = "number"
"""
QUICK = "[network]\nwidth = 8\ndepth = 1\nmembers = 2\nembedding = 4\n[training]\nepochs = 1\nbatch_size = 32\n"


@dataclass(frozen=True)
class Mixed:
    """The exported package, and a table of new rows beside its files."""

    model_file: Path
    package: Path
    rows: Path
    parity: Parity

    @property
    def predictor(self) -> Predictor:
        return Predictor.load(self.package)


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), (shade, 80, 255 - shade)).save(file, "PNG")
    return file.getvalue()


def recording(hertz: float) -> bytes:
    file = io.BytesIO()
    wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * SECONDS)) / RATE)
    soundfile.write(file, wave, RATE, format="WAV")
    return file.getvalue()


def write_rows(folder: Path, count: int, seed: int) -> pd.DataFrame:
    """Rows whose files lie in `folder`; some have nothing in a column."""
    random = np.random.default_rng(seed)
    mood = random.choice(["good", "bad"], count)
    for row in range(count):
        (folder / f"{seed}-{row}.png").write_bytes(picture(200 if mood[row] == "bad" else 50))
        (folder / f"{seed}-{row}.wav").write_bytes(recording(900 if mood[row] == "bad" else 300))
    frame = pd.DataFrame(
        {
            "id": np.arange(count),
            "message": [" ".join(random.choice(WORDS[m], random.integers(1, 6))) for m in mood],
            "photo": [f"{seed}-{row}.png" for row in range(count)],
            "sound": [f"{seed}-{row}.wav" for row in range(count)],
            "price": random.normal(0, 1, count).round(3),
            "mood": mood,
        }
    )
    for name in ("message", "photo", "sound", "price"):
        frame.loc[random.random(count) < 0.1, name] = None
    return frame


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """Trained for one epoch, exported with its proof of parity. Tests must not change it."""
    folder = once(tmp_path_factory, "mixed", make_mixed)
    parity = Parity(**json.loads((folder / "parity.json").read_text()))
    return Mixed(folder / "mixed.toml", folder / "package", folder / "new.csv", parity)


def make_mixed(folder: Path) -> None:
    frame = write_rows(folder, 120, seed=0)
    file = write_model(folder, "mixed", frame, target='column = "mood"', columns=COLUMNS, quick=QUICK)
    (folder / "parity.json").write_text(json.dumps(asdict(export_quickly(file, folder).parity)))
    write_rows(folder, 20, seed=1).drop(columns="mood").to_csv(folder / "new.csv", index=False)
