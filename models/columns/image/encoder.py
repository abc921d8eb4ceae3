"""The network half of pictures: a small convolutional network, and what varies pictures while training."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.columns.image.augment import vary
from models.columns.image.feed import ImageSettings
from models.columns.image.statistics import ImageStatistics
from models.sections import Network

MASKED = 0.01
"""Share of training pictures shown as missing."""
WIDTHS = (16, 64, 128, 256)
"""Channels of the stem and of each stage."""
STEM_SIDE = 32
"""Side that the first convolution brings larger pictures to, or somewhat above."""
SMALLEST_MAP = 3
"""Side below which a map is not halved."""


class Convolution(nn.Sequential):
    """A convolution that keeps the size but for its stride, normalised over the batch, and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )


class FeatureNorm(nn.BatchNorm1d):
    """Batch normalisation that takes the running statistics where a batch is a single row and so has no spread."""

    def forward(self, features: Tensor) -> Tensor:
        """[N, F] -> [N, F]."""
        if self.training and len(features) == 1:
            known = self.running_mean, self.running_var, self.weight, self.bias
            return functional.batch_norm(features, *known, eps=self.eps)
        return super().forward(features)


class Encoder(nn.Module):
    """Features of pictures, [N, H, W, 3] uint8 -> [N, 512]: means and maxima over the last map's places.

    A wholly black picture is a missing one and has a learned vector in place of its features. Features are normalised
    over the batch (Ioffe and Szegedy 2015), as the trunk learns far slower from means that hardly differ.
    """

    mean: Tensor
    inverse_scale: Tensor
    offset: Tensor

    def __init__(
        self, settings: Sequence[ImageSettings], statistics: Sequence[ImageStatistics], network: Network
    ) -> None:
        super().__init__()
        (self.settings,), (known,) = settings, statistics
        self.register_buffer("mean", torch.tensor(known.mean).view(1, 3, 1, 1))
        self.register_buffer("inverse_scale", 1 / torch.tensor(known.scale).view(1, 3, 1, 1))
        self.register_buffer("offset", -self.mean * self.inverse_scale)
        self.convolutions = nn.Sequential(*_layers(known.height, known.width))
        self.out_features = 2 * WIDTHS[-1]
        self.normalise = FeatureNorm(self.out_features)
        self.missing = nn.Parameter(torch.zeros(self.out_features))

    def forward(self, pixels: Tensor) -> Tensor:
        """Features [N, out_features] of the pixels [N, H, W, 3]."""
        missing = pixels.flatten(1).amax(1) == 0
        shades = pixels.permute(0, 3, 1, 2).float()
        if self.training:
            # Statistics of a batch must not be those of black pictures.
            shades = self._varied(torch.where(missing.view(-1, 1, 1, 1), self.mean, shades))
            missing = missing | (torch.rand(len(pixels), device=pixels.device) < MASKED)
        maps = self.convolutions(shades * self.inverse_scale + self.offset)
        features = self.normalise(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1))
        return torch.where(missing.unsqueeze(1), self.missing, features)

    def _varied(self, shades: Tensor) -> Tensor:
        """Shades for training, their colours side by side in memory, which CPUs convolve a third faster."""
        varied = vary(shades.contiguous(), self.settings.mirror) if self.settings.augment else shades
        return varied.contiguous(memory_format=torch.channels_last)


def _layers(height: int, width: int) -> Iterator[nn.Module]:
    """A stem that leaves 32 pixels a side or more, and stages that halve the map and double the channels."""
    side = min(height, width)
    stride = max(1, side // STEM_SIDE)
    yield Convolution(3, WIDTHS[0], kernel=max(3, stride | 1), stride=stride)
    side = -(-side // stride)
    for inputs, outputs in pairwise(WIDTHS):
        if side // 2 >= SMALLEST_MAP:
            yield nn.MaxPool2d(2)
            side //= 2
        yield Convolution(inputs, outputs)
