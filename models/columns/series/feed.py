"""Windows of one channel, from structs or stored bytes to the graph: float32 with NaN for what was not measured."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from models.columns.cells import as_array, as_fixed, fixed_values, is_number_list, is_numeric, is_text, valid
from models.columns.kind import (
    BIAS,
    BIASED,
    ColumnKind,
    ColumnSettings,
    Parsed,
    Refusal,
    Shift,
    Shown,
    failures,
    is_gathered,
)
from models.columns.series.statistics import FEATURES, SeriesStatistics, fit_series, window_features


class SeriesSettings(ColumnSettings):
    """A channel; how rows become windows is said once for all channels, in [series]."""

    kind: Literal["series"] = "series"
    window: int = Field(30, ge=2, le=100_000, description="rows of a window; taken from series.window")


class SeriesKind(ColumnKind[SeriesSettings, SeriesStatistics]):
    """Numbers row by row in the raw table; what is parsed are the windows that end at each row."""

    name = "series"
    input_type: ClassVar[Any] = np.float32
    encoded_type: ClassVar[Any] = np.float32
    encoder_module = "models.columns.series.encoder"
    summarised = "series as last, mean, spread, trend, lowest and highest value and roughness of the window"
    settings = SeriesSettings
    statistics = SeriesStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """A sensor that has lost its zero."""
        return MappingProxyType({"sensor_bias": Shift(BIASED, _biased)})

    def arrow_type(self, settings: SeriesSettings) -> pa.DataType:
        """The bytes of `window` float32 values, the newest last."""
        return pa.binary(4 * settings.window)

    def shape(self, settings: SeriesSettings) -> tuple[int, ...]:
        """(window,)."""
        return (settings.window,)

    def reads(self, raw: pa.DataType, settings: SeriesSettings) -> bool:
        """Numeric types, booleans and text, row by row; and, not to learn from, windows as lists of numbers."""
        single = is_text(raw) or is_numeric(raw) or pa.types.is_boolean(raw) or pa.types.is_null(raw)
        return single or is_number_list(raw)

    def parse(self, raw: pa.Array, settings: SeriesSettings, missing: tuple[str, ...]) -> Parsed:
        """Windows of structs of `content` and `failure`; rows that are no windows are refused as such."""
        wanted, values = self.arrow_type(settings), as_array(raw)
        if values.type == wanted:
            return Parsed(values)
        if is_gathered(values.type) and pc.struct_field(values, "content").type == wanted:
            return Parsed(pc.struct_field(values, "content"), failures(values))
        given = valid(values)
        return Parsed(pa.nulls(len(values), wanted), (Refusal("not a window", given),) if given.any() else ())

    def fit(self, chunks: Iterable[pa.Array], settings: SeriesSettings) -> SeriesStatistics:
        """Statistics of what windows come to."""
        return fit_series((self.to_input(chunk, settings) for chunk in chunks), settings.window)

    def to_input(self, values: pa.Array, settings: SeriesSettings) -> NDArray[Any]:
        """Float32 [N, window], NaN where nothing was measured."""
        return fixed_values(as_array(values), np.float32, self.shape(settings), np.nan)

    def shown(self, values: pa.Array, settings: SeriesSettings, row: int) -> Shown:
        """The window as a line, with its last value and its range."""
        window = self.to_input(values.slice(row, 1), settings)[0]
        known = window[~np.isnan(window)]
        if not len(known):
            return Shown()
        text = f"last {known[-1]:.4g}, {known.min():.4g} to {known.max():.4g}"
        return Shown(text, curve=np.stack([window, window], axis=1))

    def summary(self, values: pa.Array, settings: SeriesSettings) -> NDArray[np.float32]:
        """Last value, mean, spread, trend, lowest and highest value, and roughness, [N, 7]."""
        return window_features(self.to_input(values, settings))

    def watched(self, values: pa.Array, settings: SeriesSettings) -> Mapping[str, NDArray[np.float64]]:
        """Mean, spread and trend of each window."""
        found = dict(zip(FEATURES, window_features(self.to_input(values, settings)).T.astype(np.float64), strict=True))
        return {name: found[name] for name in ("mean", "spread", "trend")}


def _biased(values: pa.Array, settings: SeriesSettings, generator: np.random.Generator) -> pa.Array:
    """All values half a standard deviation higher."""
    windows = SeriesKind().to_input(values, settings)
    windows = windows + np.float32(BIAS * (np.nanstd(windows) if np.isfinite(windows).any() else 0))
    return as_fixed(windows, valid(values))
