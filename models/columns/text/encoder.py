"""The network half of texts: the sum of one learned vector per token, scaled to one length."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.columns.text.feed import TextSettings
from models.columns.text.statistics import TextStatistics
from models.modelfile import Network

DROPPED = 0.2
"""Share of the tokens left out while training, so that no single one decides."""
MASKED = 0.01
"""Share of training texts shown as missing."""


class Encoder(nn.Module):
    """Features of one text column, token ids [N, L] with 0 for nothing -> [N, width].

    Vectors of words, pairs of words and pieces of words are summed (Joulin et al. 2017). Sums are scaled to one length,
    so that long texts weigh as much as short ones; the mean square of the features is 1. A text without tokens is a
    missing one, and has a learned vector.
    """

    def __init__(
        self, settings: Sequence[TextSettings], statistics: Sequence[TextStatistics], network: Network
    ) -> None:
        super().__init__()
        self.out_features = settings[0].width
        self.vectors = nn.Parameter(torch.randn(statistics[0].ids, self.out_features) * self.out_features**-0.5)
        self.missing = nn.Parameter(torch.zeros(self.out_features))
        with torch.no_grad():
            self.vectors[0] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """Features [N, width] of the ids [N, L]."""
        kept = ids > 0
        if self.training:
            kept = kept & _kept_in_training(ids)
        directions = functional.normalize(self._sums(ids, kept), dim=1, eps=1e-6)
        features: Tensor = directions * math.sqrt(self.out_features)
        return features + ~kept.any(1, keepdim=True) * self.missing

    def _sums(self, ids: Tensor, kept: Tensor) -> Tensor:
        """The sum of the vectors of the ids that are kept, [N, width]."""
        if torch.compiler.is_exporting():
            return functional.embedding(ids, self.vectors).sum(1)
        sums: Tensor = TokenSums.apply(self.vectors, ids[kept], kept.sum(1))  # type: ignore[no-untyped-call]
        return sums


class TokenSums(torch.autograd.Function):
    """Sums of vectors [V, width] by their ids [T], `counts` [N] of them for each row: [N, width].

    The gradient is such a sum too: of the rows' gradients, for each id the rows that have it. PyTorch's own takes a
    hundred times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
        """The sums [N, width]."""
        ctx.save_for_backward(ids, counts)
        ctx.size = len(vectors)
        return _sums(vectors, ids, counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the vectors, [V, width]."""
        ids, counts = ctx.saved_tensors
        rows = torch.arange(len(counts), device=ids.device, dtype=ids.dtype).repeat_interleave(counts)
        by_id = rows[ids.argsort(stable=True)]
        return _sums(gradients[0].contiguous(), by_id, torch.bincount(ids, minlength=ctx.size)), None, None


def _sums(vectors: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
    starts = (counts.cumsum(0) - counts).to(ids.dtype)
    return functional.embedding_bag(ids, vectors, starts, mode="sum")


def _kept_in_training(ids: Tensor) -> Tensor:
    """Mask [N, L] of a random share of the tokens, and of none at all in a few texts."""
    tokens = torch.rand(ids.shape, device=ids.device) >= DROPPED
    return tokens & (torch.rand(len(ids), 1, device=ids.device) >= MASKED)
