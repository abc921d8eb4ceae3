"""The network half of categories: one learned vector per value."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.columns.category.statistics import CategoryStatistics
from models.modelfile import Network

UNSEEN = 1
MASKED = 0.01
"""Share of training values shown as unseen."""


class Encoder(nn.Module):
    """Embeddings of all category columns, codes [N, C] int64 -> [N, C * embedding].

    Code 0 is missing, 1 unseen. The unseen code learns from the rare values that carry it in the training rows and
    from a small random share of the others, so that it means "some value of this column" rather than noise.
    """

    offsets: Tensor

    def __init__(self, statistics: Sequence[CategoryStatistics], network: Network) -> None:
        super().__init__()
        sizes = torch.tensor([len(s.vocabulary) + 2 for s in statistics])
        self.out_features = len(statistics) * network.embedding
        self.register_buffer("offsets", sizes.cumsum(0) - sizes)
        self.vectors = nn.Embedding(int(sizes.sum()), network.embedding)
        bound = network.embedding**-0.5
        nn.init.uniform_(self.vectors.weight, -bound, bound)

    def forward(self, codes: Tensor) -> Tensor:
        """Embeddings [N, C * embedding] of the codes [N, C]."""
        if self.training:
            codes = codes.masked_fill(torch.rand(codes.shape, device=codes.device) < MASKED, UNSEEN)
        embedded: Tensor = self.vectors(codes + self.offsets)
        return embedded.flatten(1)
