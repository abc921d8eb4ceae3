"""The network half of booleans: a sign and a missing indicator."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.columns.boolean.feed import BooleanStatistics
from models.columns.kind import ColumnSettings
from models.sections import Network


class Encoder(nn.Module):
    """Two features per boolean column, [N, C] float32 with NaN for missing -> [N, 2 * C]: -1, 0 or 1, and missing."""

    def __init__(
        self, settings: Sequence[ColumnSettings], statistics: Sequence[BooleanStatistics], network: Network
    ) -> None:
        super().__init__()
        self.out_features = 2 * len(statistics)

    def forward(self, x: Tensor) -> Tensor:
        """Signs [N, C] beside missing indicators [N, C]."""
        missing = torch.isnan(x)
        return torch.cat([torch.where(missing, 0.0, 2 * x - 1), missing.to(x.dtype)], dim=1)
