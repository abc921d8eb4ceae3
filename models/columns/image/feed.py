"""Pictures from the contents of their files to the graph: pixels of one size, zeros where a picture is missing."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from models.columns.cells import as_array, is_text, plain, valid
from models.columns.image.decode import Pixels, decode_pictures
from models.columns.image.statistics import ImageStatistics, fit_image
from models.columns.kind import ColumnKind, FileSettings, Parsed, Refusal, Shift, Shown, is_gathered

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


class ImageKind(ColumnKind[ImageSettings, ImageStatistics]):
    """Contents of picture files, or pixels that already have the size.

    In the graph input a missing picture is black all over, and so a picture that is black all over counts as missing.
    """

    name = "image"
    joined = False
    input_type: ClassVar[Any] = np.uint8
    encoded_type: ClassVar[Any] = np.uint8
    encoder_module = "models.columns.image.encoder"
    batch_size = 64
    summarised = "pictures as the shades of 8 x 8 blocks and their mean colour"
    settings = ImageSettings
    statistics = ImageStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """Changes of light and sharpness."""
        from models.columns.image.shifts import SHIFTS

        return SHIFTS

    def arrow_type(self, settings: ImageSettings) -> pa.DataType:
        """Bytes of fixed size: red, green and blue of each pixel, row by row."""
        return pa.binary(settings.height * settings.width * COLOURS)

    def shape(self, settings: ImageSettings) -> tuple[int, ...]:
        """Height, width, and three colours."""
        return settings.height, settings.width, COLOURS

    def reads(self, raw: pa.DataType, settings: ImageSettings) -> bool:
        """Texts that say where a picture is, its contents, and pixels of the size."""
        known = is_text(raw) or pa.types.is_null(raw) or _is_binary(raw) or is_gathered(raw)
        return known or raw == self.arrow_type(settings)

    def parse(self, raw: pa.Array, settings: ImageSettings, missing: tuple[str, ...]) -> Parsed:
        """Pixels; refused are files that could not be fetched, that are no pictures, damaged, or too large."""
        raw, wanted = plain(as_array(raw)), self.arrow_type(settings)
        if raw.type == wanted:
            return Parsed(raw)
        if pa.types.is_null(raw.type):
            return Parsed(pa.nulls(len(raw), wanted))
        if not (_is_binary(raw.type) or is_gathered(raw.type)):
            return Parsed(pa.nulls(len(raw), wanted), (Refusal("wrong type", valid(raw)),))
        contents, failures = _contents(raw)
        pixels, reasons = decode_pictures(contents, settings.height, settings.width, settings.max_pixels)
        failures = [failure or reasons.get(row) for row, failure in enumerate(failures)]
        null = [content is None or row in reasons for row, content in enumerate(contents)]
        return Parsed(as_arrow(pixels, np.array(null, bool), wanted), _refusals(failures))

    def fit(self, chunks: Iterable[pa.Array], settings: ImageSettings) -> ImageStatistics:
        """Colours, brightness and contrast of the training pictures."""
        pieces = (self.to_input(chunk, settings) for chunk in chunks)
        return fit_image(pieces, settings.height, settings.width)

    def to_input(self, values: pa.Array, settings: ImageSettings) -> Pixels:
        """Pixels [N, height, width, 3], 0 where missing; a read-only view unless nulls have to be blacked."""
        values = as_array(values)
        size, buffer = values.type.byte_width, values.buffers()[1]
        if buffer is None:
            return np.zeros((len(values), *self.shape(settings)), np.uint8)
        start = values.offset * size
        flat = np.frombuffer(buffer, np.uint8)[start : start + len(values) * size]
        pixels = flat.reshape(len(values), *self.shape(settings))
        known = valid(values)
        return np.where(known[:, None, None, None], pixels, 0) if pixels[~known].any() else pixels

    def shown(self, values: pa.Array, settings: ImageSettings, row: int) -> Shown:
        """The picture, made smaller where it is large."""
        from models.columns.image.shifts import thumbnail

        return Shown(picture=thumbnail(values, settings, row, THUMBNAIL)) if values[row].is_valid else Shown()

    def summary(self, values: pa.Array, settings: ImageSettings) -> NDArray[np.float32]:
        """Mean grey of 8 x 8 blocks, and mean red, green and blue, [N, 67]."""
        from models.columns.image.summary import block_shades

        return block_shades(self.to_input(values, settings))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _contents(raw: pa.Array) -> tuple[list[bytes | None], list[str | None]]:
    """Content of each file, None where there is none, and why the fetching failed, None where it did not."""
    if not pa.types.is_struct(raw.type):
        return raw.to_pylist(), [None] * len(raw)
    contents, failures = pc.struct_field(raw, "content"), pc.struct_field(raw, "failure")
    return contents.to_pylist(), pc.if_else(contents.is_valid(), None, failures).to_pylist()


def _refusals(reasons: list[str | None]) -> tuple[Refusal, ...]:
    """One refusal for each distinct reason, in the order they are met."""
    each = np.array(reasons, dtype=object)
    return tuple(Refusal(reason, each == reason) for reason in dict.fromkeys(reasons) if reason is not None)


def as_arrow(pixels: Pixels, null: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """The pixels [N, H, W, 3] as an array of that type, without a copy."""
    bitmap = pa.array(~null).buffers()[1] if null.any() else None
    return pa.Array.from_buffers(kind, len(pixels), [bitmap, pa.py_buffer(pixels)])
