"""Pictures from the contents of their files to the graph: pixels of one size, zeros where a picture is missing."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from models.columns.cells import valid
from models.columns.filekind import FileKind
from models.columns.image.decode import Pixels, decode_picture
from models.columns.image.statistics import ImageStatistics, describe_pictures, fit_image
from models.columns.kind import FileSettings, Parsed, Shift, Shown

COLOURS = 3
THUMBNAIL = 96
"""Pixels of the longer side of a picture that people are shown."""
LARGEST_PICTURE = 178_956_970
"""Pixels above which Pillow itself refuses a picture."""
Side = Annotated[int, Field(ge=8, le=1024)]


class ImageSettings(FileSettings):
    """To what size pictures are brought, and how they are varied while training."""

    kind: Literal["image"] = "image"
    size: Side | tuple[Side, Side] = Field(
        64, description="pixels of a side, or height and width, that each picture is stretched to"
    )
    augment: bool = Field(True, description="vary place, size, angle, light, colour and sharpness while training")
    mirror: bool = Field(
        False, description="mirror half of the pictures while training; not where sides have a meaning"
    )
    max_pixels: int = Field(100_000_000, ge=1, le=LARGEST_PICTURE, description="larger pictures are rejects")

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.size if isinstance(self.size, int) else self.size[1]


class ImageKind(FileKind[ImageSettings, ImageStatistics]):
    """Contents of picture files, or pixels that already have the size.

    In the graph input a missing picture is black all over, and so a picture that is black all over counts as missing.
    """

    name = "image"
    input_type: ClassVar[Any] = np.uint8
    encoded_type: ClassVar[Any] = np.uint8
    encoder_module = "models.columns.image.encoder"
    blank = 0
    summarised = "pictures as the shades of 8 x 8 blocks and their mean colour"
    settings = ImageSettings
    statistics = ImageStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """Changes of light and sharpness."""
        from models.columns.image.shifts import SHIFTS

        return SHIFTS

    def shape(self, settings: ImageSettings) -> tuple[int, ...]:
        """Height, width, and three colours."""
        return settings.height, settings.width, COLOURS

    def parse(self, raw: pa.Array, settings: ImageSettings, missing: tuple[str, ...]) -> Parsed:
        """Pixels; refused are files that could not be fetched, that are no pictures, damaged, or too large."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().parse(raw, settings, missing)

    def decode(self, content: bytes, settings: ImageSettings) -> Pixels | str:
        """Pixels [height, width, 3]."""
        return decode_picture(content, settings.height, settings.width, settings.max_pixels)

    def fit(self, chunks: Iterable[pa.Array], settings: ImageSettings) -> ImageStatistics:
        """Colours, brightness and contrast of the training pictures."""
        pieces = (self.to_input(chunk, settings) for chunk in chunks)
        return fit_image(pieces, settings.height, settings.width)

    def shown(self, values: pa.Array, settings: ImageSettings, row: int) -> Shown:
        """The picture, made smaller where it is large."""
        from models.columns.image.shifts import thumbnail

        return Shown(picture=thumbnail(values, settings, row, THUMBNAIL)) if values[row].is_valid else Shown()

    def summary(self, values: pa.Array, settings: ImageSettings) -> NDArray[np.float32]:
        """Mean grey of 8 x 8 blocks, and mean red, green and blue, [N, 67]."""
        from models.columns.image.summary import block_shades

        return block_shades(self.to_input(values, settings))

    def watched(self, values: pa.Array, settings: ImageSettings) -> Mapping[str, NDArray[np.float64]]:
        """How bright and how rich in contrast each picture is, in shades from 0 to 255."""
        brightness, contrast = np.full((2, len(values)), np.nan)
        known = valid(values)
        if known.any():
            means, _, contrast[known] = describe_pictures(self.to_input(values.drop_null(), settings))
            brightness[known] = means.mean(axis=1)
        return {"brightness": brightness, "contrast": contrast}
