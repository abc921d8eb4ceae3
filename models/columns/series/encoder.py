"""The network half of series: embedded statistics of each channel's window beside a convolution over all of them."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from models.columns.kind import ColumnSettings
from models.columns.number.encoder import Encoder as NumberEncoder
from models.columns.number.statistics import NumberStatistics
from models.columns.series.statistics import FEATURES, LEVELS, SeriesStatistics, trend_weights
from models.sections import Network

CHANNELS = 48
LAYERS = ((7, 1), (5, 2), (5, 4), (3, 8))
"""Width and dilation of the convolutions, which see 47 rows in the end."""
FAR = 8.0
"""Scaled values beyond are held here, so that a broken sensor can't drown the others."""


class Encoder(nn.Module):
    """Features of windows, float32 [N, C, window] with NaN for what was not measured -> [N, out_features].

    Statistics of a window (last, mean, spread, trend, ...) are embedded as numbers are; convolutions over the scaled
    values see shapes that statistics don't, and are pooled by mean and maximum.
    """

    median: Tensor
    scale: Tensor
    trend: Tensor

    def __init__(
        self, settings: Sequence[ColumnSettings], statistics: Sequence[SeriesStatistics], network: Network
    ) -> None:
        super().__init__()
        features = [feature for s in statistics for feature in _centred(s)]
        self.embedded = NumberEncoder((), features, network)
        self.register_buffer("median", torch.tensor([[s.median] for s in statistics], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([[max(s.scale, 1e-30)] for s in statistics], dtype=torch.float64))
        self.register_buffer("trend", torch.from_numpy(trend_weights(statistics[0].window)))
        self.shapes = nn.Sequential(*_convolutions(2 * len(statistics)))
        self.out_features = self.embedded.out_features + 2 * CHANNELS

    def forward(self, windows: Tensor) -> Tensor:
        """Embedded statistics beside pooled shapes, [N, out_features]."""
        missing = torch.isnan(windows)
        # In float64, since the order of a sum, which is the runtime's choice, would show in features of small spread.
        centred = windows.double() - self.median
        embedded = self.embedded(window_features(centred, missing, self.trend).flatten(1).float())
        scaled = torch.where(missing, 0.0, centred / self.scale).clamp(-FAR, FAR).float()
        shapes = self.shapes(torch.cat([scaled, missing.to(scaled.dtype)], dim=1))
        return torch.cat([embedded, shapes.mean(dim=2), shapes.amax(dim=2)], dim=1)


def _convolutions(inputs: int) -> Iterator[nn.Module]:
    """Layers over windows [N, inputs, window] -> [N, CHANNELS, window]."""
    for width, dilation in LAYERS:
        yield nn.Conv1d(inputs, CHANNELS, width, padding=(width - 1) // 2 * dilation, dilation=dilation)
        yield nn.BatchNorm1d(CHANNELS)
        yield nn.ReLU()
        inputs = CHANNELS


def _centred(statistics: SeriesStatistics) -> Iterator[NumberStatistics]:
    """Statistics of the features of windows from which the channel's median was taken away."""
    for name, feature in zip(FEATURES, statistics.features, strict=True):
        shift = statistics.median if name in LEVELS else 0.0
        edges = tuple(edge - shift for edge in feature.edges)
        yield feature.model_copy(update={"median": feature.median - shift, "edges": edges})


def window_features(windows: Tensor, missing: Tensor, trend: Tensor) -> Tensor:
    """What the statistics module's function of this name gives, for all channels: [N, C, window] -> [N, C, 7]."""
    count = (~missing).sum(dim=2, keepdim=True).to(windows.dtype)
    mean = torch.where(missing, 0.0, windows).sum(dim=2, keepdim=True) / count.clamp(min=1)
    centred = torch.where(missing, 0.0, windows - mean)
    steps = centred[:, :, 1:] - centred[:, :, :-1]
    parts = (
        mean[..., 0] + centred[..., -1],
        mean[..., 0],
        ((centred**2).sum(dim=2) / count[..., 0].clamp(min=1)).sqrt(),
        (centred * trend).sum(dim=2),
        mean[..., 0] + centred.amin(dim=2),
        mean[..., 0] + centred.amax(dim=2),
        (steps**2).mean(dim=2).sqrt(),
    )
    return torch.where(count > 0, torch.stack(parts, dim=2), torch.nan)
