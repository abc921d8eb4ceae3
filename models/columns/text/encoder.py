"""The network half of texts: the sum of one learned vector per token, scaled to one length."""

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.columns.text.feed import TextSettings
from models.columns.text.statistics import TextStatistics, pieces_of_words
from models.sections import Network

DROPPED = 0.6
"""Share of the tokens left out while training, so that no single one decides."""
MASKED = 0.01
"""Share of training texts shown as missing."""


class Encoder(nn.Module):
    """Features of one text column, token ids [N, L] with 0 for nothing -> [N, width].

    Vectors of words, of their pieces and of pairs of words are summed (Bojanowski et al. 2017). Sums are scaled to one
    length, so that long texts weigh as much as short ones; the mean square of the features is 1. A text without tokens
    is a missing one, and has a learned vector.
    """

    pieces: Tensor
    table: Tensor

    def __init__(
        self, settings: Sequence[TextSettings], statistics: Sequence[TextStatistics], network: Network
    ) -> None:
        super().__init__()
        self.out_features = settings[0].width
        self.vectors = nn.Parameter(torch.randn(statistics[0].ids, self.out_features) * self.out_features**-0.5)
        self.missing = nn.Parameter(torch.zeros(self.out_features))
        self.register_buffer("pieces", torch.from_numpy(pieces_of_words(statistics[0])), persistent=False)
        self.register_buffer("table", torch.zeros_like(self.vectors), persistent=False)
        self.register_load_state_dict_post_hook(lambda module, _: module._sum_up())  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> Self:
        """Switches between training and predicting; for the latter each word gets one vector for all its parts."""
        if not mode:
            self._sum_up()
        return super().train(mode)

    @torch.no_grad()
    def _sum_up(self) -> None:
        known = self.pieces > 0
        self.table.copy_(self.vectors)
        self.table[: len(self.pieces)] += _sums(self.vectors, self.pieces[known], known.sum(1))
        self.table[0] = 0

    def forward(self, ids: Tensor) -> Tensor:
        """Features [N, width] of the ids [N, L]."""
        sums, some = self._parts(ids) if self.training else (self._whole(ids), (ids > 0).any(1, keepdim=True))
        features: Tensor = functional.normalize(sums, dim=1, eps=1e-6) * math.sqrt(self.out_features)
        return features + ~some * self.missing

    def _whole(self, ids: Tensor) -> Tensor:
        """Sums [N, width] of the vectors of the ids, each word as a whole."""
        if torch.compiler.is_exporting():
            return functional.embedding(ids, self.table).sum(1)
        return functional.embedding_bag(ids, self.table, mode="sum", padding_idx=0)

    def _parts(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Sums [N, width] of a random share of the words, pairs and pieces, and whether there are any, [N, 1]."""
        rows, tokens = (ids > 0).nonzero()[:, 0], ids[ids > 0]
        pieces = self.pieces[tokens.masked_fill(tokens >= len(self.pieces), 0)]
        parts = torch.cat([tokens.unsqueeze(1), pieces], dim=1)
        kept = _some(parts > 0, rows, len(ids))
        counts = _per_row(kept, rows, len(ids))
        sums: Tensor = TokenSums.apply(self.vectors, parts[kept], counts)  # type: ignore[no-untyped-call]
        return sums, counts.unsqueeze(1) > 0


def _some(parts: Tensor, rows: Tensor, count: int) -> Tensor:
    """Mask of a random share of the parts [T, P] of tokens in these rows [T]: all in a few rows, none in a few others.

    All where the dice would leave nothing, so that a short text is not taken for a missing one.
    """
    kept = parts & (torch.rand(parts.shape, device=parts.device) >= DROPPED)
    emptied = _per_row(kept, rows, count) == 0
    shown = torch.rand(count, device=parts.device) >= MASKED
    return (kept | (parts & emptied[rows].unsqueeze(1))) & shown[rows].unsqueeze(1)


def _per_row(kept: Tensor, rows: Tensor, count: int) -> Tensor:
    """How many parts [T, P] are kept in each of the rows, [N]."""
    return torch.zeros(count, dtype=torch.int64, device=kept.device).index_add(0, rows, kept.sum(1))


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
