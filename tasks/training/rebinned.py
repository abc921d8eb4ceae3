"""Embeddings of numbers, converted to other bins and another scale."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.columns.number.encoder import FAR, SOFT_LIMIT

LEARNT = ("linear", "bias", "pieces", "missing")
Pairs = Sequence[tuple[int, int]]
"""Places of what both have: now, and then."""


def rebin(now: Mapping[str, Tensor], then: Mapping[str, Tensor], pairs: Pairs) -> None:
    """Changes the state `now` of a number encoder so that each column has the embedding that it had `then`.

    The embedding is a piecewise-linear function beside a linear one of the clipped value. What it was at each new edge
    it is there again; between the edges of other bins it is interpolated.
    """
    for new, old in pairs:
        bins = int((now["inverse_widths"][new] > 0).sum())
        edges = _edges(now["starts"][new, :bins], now["inverse_widths"][new, :bins])
        values = edges * now["scale"][new].double() + now["median"][new].double()
        embedded = _embedded(then, old, values) - _clipped(edges).unsqueeze(1) * then["linear"][old].double()
        now["pieces"][new] = 0
        now["pieces"][new, :bins] = embedded.diff(dim=0).float()
        now["bias"][new] = embedded[0].float()
        for name in ("linear", "missing"):
            now[name][new] = then[name][old]


def _edges(starts: Tensor, inverse_widths: Tensor) -> Tensor:
    """The edges [B + 1] of bins [B] in scaled units."""
    last = starts[-1:].double() + 1 / inverse_widths[-1:].double()
    return torch.cat([starts.double(), last])


def _embedded(state: Mapping[str, Tensor], column: int, values: Tensor) -> Tensor:
    """What the encoder of that state gives for the values [K] of one column, [K, embedding]."""
    column_of = {name: tensor[column].double() for name, tensor in state.items()}
    scaled = ((values - column_of["median"]) / column_of["scale"]).clamp(-FAR, FAR)
    parts = ((scaled.unsqueeze(1) - column_of["starts"]) * column_of["inverse_widths"]).clamp(0, 1)
    return parts @ column_of["pieces"] + _clipped(scaled).unsqueeze(1) * column_of["linear"] + column_of["bias"]


def _clipped(scaled: Tensor) -> Tensor:
    return scaled / torch.sqrt(1 + (scaled / SOFT_LIMIT) ** 2)
