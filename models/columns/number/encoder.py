"""The network half of numbers: robust scaling and a piecewise-linear embedding of each column."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.columns.kind import ColumnSettings
from models.columns.number.statistics import NumberStatistics
from models.sections import Network

SOFT_LIMIT = 3.0
"""Spreads from the median at which scaled values begin to saturate."""
FAR = 1e15
"""Largest scaled value; its square still fits float32."""


class Encoder(nn.Module):
    """Embeddings of all number columns, [N, C] float32 with NaN for missing -> [N, C * embedding].

    A value is imputed by the median, scaled by median and spread, and embedded as the sum of a linear term of the
    smoothly clipped value (Holzmüller et al. 2024) and a learned map of its piecewise-linear encoding over quantile
    bins (Gorishniy et al. 2022). A missing value adds a learned vector of its own, 0 if none was missing in training.
    """

    median: Tensor
    scale: Tensor
    starts: Tensor
    inverse_widths: Tensor

    def __init__(
        self, settings: Sequence[ColumnSettings], statistics: Sequence[NumberStatistics], network: Network
    ) -> None:
        super().__init__()
        columns, width = len(statistics), network.embedding
        starts, inverse_widths = _bins(statistics)
        self.out_features = columns * width
        self.register_buffer("median", torch.tensor([s.median for s in statistics]))
        self.register_buffer("scale", torch.tensor([max(s.scale, 1e-30) for s in statistics]))
        self.register_buffer("starts", starts)
        self.register_buffer("inverse_widths", inverse_widths)
        bound = width**-0.5
        self.linear = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.pieces = nn.Parameter(torch.zeros(columns, starts.shape[1], width))
        self.missing = nn.Parameter(torch.zeros(columns, width))

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings [N, C * embedding] of the values [N, C]."""
        missing = torch.isnan(x)
        z = torch.where(missing, 0.0, (x - self.median) / self.scale).clamp(-FAR, FAR)
        clipped = z / torch.sqrt(1 + (z / SOFT_LIMIT) ** 2)
        pieces = ((z.unsqueeze(-1) - self.starts) * self.inverse_widths).clamp(0, 1)
        embedded = torch.bmm(pieces.transpose(0, 1), self.pieces).transpose(0, 1)
        embedded = embedded + clipped.unsqueeze(-1) * self.linear + self.bias
        embedded = embedded + missing.unsqueeze(-1).to(x.dtype) * self.missing
        return embedded.flatten(1)


def _bins(statistics: Sequence[NumberStatistics]) -> tuple[Tensor, Tensor]:
    """Starts and inverse widths [C, B] of the bins in scaled units; columns with fewer bins are padded with zeros."""
    most = max((len(s.edges) for s in statistics), default=2) - 1
    starts, inverse_widths = torch.zeros(len(statistics), most), torch.zeros(len(statistics), most)
    for column, s in enumerate(statistics):
        edges = (torch.tensor(s.edges, dtype=torch.float64) - s.median) / max(s.scale, 1e-30)
        starts[column, : len(edges) - 1] = edges[:-1].float()
        inverse_widths[column, : len(edges) - 1] = (1 / edges.diff()).clamp(max=1e6).float()
    return starts, inverse_widths
