"""Pictures for tests, and what Pillow makes of them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.columns.image.feed import ImageKind, ImageSettings
from models.columns.kind import Parsed

KIND = ImageKind()


SMALL = ImageSettings(size=8)


def picture(height: int = 20, width: int = 30, seed: int = 0) -> Image.Image:
    """A smooth picture in random colours."""
    corners = np.random.default_rng(seed).integers(0, 256, (3, 3, 3)).astype(np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def contents(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def stretched(image: Image.Image, height: int = 8, width: int = 8) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))


def refused(parsed: Parsed) -> dict[str, list[int]]:
    return {refusal.reason: np.flatnonzero(refusal.rows).tolist() for refusal in parsed.refusals}
