"""Pictures to measure on: photographs-like JPEG files, as many as wanted, made in seconds."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CLASSES = 4
TARGET = "class"


def write_pictures(folder: Path, count: int, side: int, seed: int) -> Path:
    """The manifest of `count` JPEG files of `side` pixels; each class has a colour of its own, and all have texture."""
    generator = np.random.default_rng(seed)
    (folder / "pictures").mkdir(parents=True)
    colours = np.array([[200, 60, 60], [60, 170, 60], [60, 60, 200], [180, 160, 60]], dtype=np.float32)
    classes = generator.integers(0, CLASSES, count)
    for number, kind in enumerate(classes.tolist()):
        coarse = generator.normal(0, 40, (side // 8, side // 8, 3)).astype(np.float32)
        texture = np.kron(coarse, np.ones((8, 8, 1), dtype=np.float32))
        pixels = (colours[kind] + texture).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.jpg", quality=90)
    paths = [f"pictures/{number}.jpg" for number in range(count)]
    pd.DataFrame({"path": paths, TARGET: [f"c{kind}" for kind in classes]}).to_csv(folder / "pictures.csv", index=False)
    return folder / "pictures.csv"


def picture_model_file(manifest: Path, size: int, extra: str = "") -> Path:
    """A model file for the manifest, beside it."""
    path = manifest.with_suffix(".toml")
    path.write_text(
        f'name = "pictures"\n[[sources]]\nuri = "{manifest.name}"\n[target]\ncolumn = "{TARGET}"\n'
        f'[columns]\npath = {{ kind = "image", size = {size} }}\n{extra}',
        encoding="utf-8",
    )
    return path
