"""The 1,797 scanned handwritten digits that come with scikit-learn, as pictures and a table that names them.

They are real: the test part of the optical recognition data of the UCI repository (Alpaydin and Kaynak 1998), in which
each pixel counts the inked points of a 4 x 4 block of the scan, from 0 to 16.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

MOST_INK = 16
"""Points of a block."""
WHITE = 255


def make(folder: Path, seed: int = 0) -> None:
    """Writes `digits.csv` (scan, picture, digit) and a PNG file of 8 x 8 pixels for each of its rows into `pictures`.

    The data are real and always the same, so the seed only decides the order of the table's rows.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    scans = load_digits()
    for number, ink in enumerate(scans.images):
        Image.fromarray(dark_on_white(ink)).save(folder / picture(number))
    listing(scans.target, seed).to_csv(folder / "digits.csv", index=False, lineterminator="\n")


def picture(scan: int) -> str:
    """Where the picture of a scan lies, relative to the table."""
    return f"pictures/{scan:04d}.png"


def listing(digits: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """The table of the pictures of scans [N] that show these digits, in an order that the seed decides."""
    order = np.random.default_rng(seed).permutation(len(digits))
    return pd.DataFrame({"scan": order, "picture": [picture(scan) for scan in order], "digit": digits[order]})


def dark_on_white(ink: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Shades of grey of the inked points, [8, 8]: paper is 255, a wholly inked block 0. No two counts share a shade."""
    return np.round(WHITE * (1 - ink / MOST_INK)).astype(np.uint8)
