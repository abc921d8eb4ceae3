"""The network half of categories: one learned vector per value."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from models.columns.category.statistics import CategoryStatistics
from models.columns.kind import ColumnSettings
from models.sections import Network

UNSEEN = 1
MASKED = 0.01
"""Share of training values shown as unseen."""


class Encoder(nn.Module):
    """Embeddings of all category columns, codes [N, C] int64 -> [N, C * embedding].

    Code 0 is missing, 1 unseen. The unseen code learns from the rare values that carry it in the training rows and
    from a small random share of the others, so that it means "some value of this column" rather than noise. Where no
    training row was missing, the missing code has the mean vector of the values, by their frequency, once in `eval`.
    """

    offsets: Tensor

    def __init__(
        self, settings: Sequence[ColumnSettings], statistics: Sequence[CategoryStatistics], network: Network
    ) -> None:
        super().__init__()
        sizes = torch.tensor([len(s.vocabulary) + 2 for s in statistics])
        self.out_features = len(statistics) * network.embedding
        self.register_buffer("offsets", sizes.cumsum(0) - sizes)
        self.vectors = nn.Embedding(int(sizes.sum()), network.embedding)
        bound = network.embedding**-0.5
        nn.init.uniform_(self.vectors.weight, -bound, bound)
        self.untrained = [
            (int(offset), torch.tensor([s.rare, *s.counts], dtype=torch.float32))
            for offset, s in zip(self.offsets, statistics, strict=True)
            if not s.missing and s.rare + sum(s.counts)
        ]

    def train(self, mode: bool = True) -> Self:
        """Switches between training and predicting; for the latter untrained codes get their neutral vectors."""
        if not mode:
            self._neutralise()
        return super().train(mode)

    @torch.no_grad()
    def _neutralise(self) -> None:
        weight = self.vectors.weight
        for missing, counts in self.untrained:
            known = weight[missing + UNSEEN : missing + UNSEEN + len(counts)]
            weight[missing] = (counts / counts.sum()).to(weight.device) @ known

    def forward(self, codes: Tensor) -> Tensor:
        """Embeddings [N, C * embedding] of the codes [N, C]."""
        if self.training:
            codes = codes.masked_fill(torch.rand(codes.shape, device=codes.device) < MASKED, UNSEEN)
        embedded: Tensor = self.vectors(codes + self.offsets)
        return embedded.flatten(1)
