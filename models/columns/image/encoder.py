"""The network half of pictures: a small residual convolutional network, and what varies pictures while training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.columns.image.augment import vary
from models.columns.image.feed import ImageSettings
from models.columns.image.statistics import ImageStatistics
from models.modelfile import Network

MASKED = 0.01
"""Share of training pictures shown as missing."""
WIDTHS = (32, 64, 128, 256)
"""Channels of the stem and of each stage."""
STEM_SIDE = 32
"""Side that larger pictures are brought near to by the first convolution."""
SMALLEST_MAP = 3
"""Side below which a map is not halved."""


class Convolution(nn.Sequential):
    """A 3x3 convolution, normalised over the batch."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        )


class Stage(nn.Module):
    """Halves the map where asked to, then a convolution to more channels and a residual one (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, halved: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2) if halved else nn.Identity()
        self.widen = Convolution(inputs, outputs)
        self.residual = Convolution(outputs, outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        widened = functional.relu(self.widen(self.pool(maps)))
        return functional.relu(widened + self.residual(widened))


class Encoder(nn.Module):
    """Features of pictures [N, H, W, 3] uint8 -> [N, 256]: the mean over the last map's places.

    A wholly black picture is a missing one and has a learned vector in place of its features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, settings: Sequence[ImageSettings], statistics: Sequence[ImageStatistics], network: Network
    ) -> None:
        super().__init__()
        (self.settings,), (known,) = settings, statistics
        self.register_buffer("mean", torch.tensor(known.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(known.scale).view(1, 3, 1, 1))
        side = min(known.height, known.width)
        stride = max(1, round(side / STEM_SIDE))
        self.stem = Convolution(3, WIDTHS[0], kernel=stride + 2 + (stride + 1) % 2, stride=stride)
        side = -(-side // stride)
        stages = []
        for inputs, outputs in zip(WIDTHS, WIDTHS[1:]):
            halved = side // 2 >= SMALLEST_MAP
            stages.append(Stage(inputs, outputs, halved))
            side = side // 2 if halved else side
        self.stages = nn.Sequential(*stages)
        self.out_features = WIDTHS[-1]
        self.missing = nn.Parameter(torch.zeros(self.out_features))
        self.to(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features [N, out_features] of the pixels [N, H, W, 3]."""
        missing = pixels.flatten(1).amax(1, keepdim=True) == 0
        shades = pixels.permute(0, 3, 1, 2).float()
        if self.training:
            missing = missing | (torch.rand(missing.shape, device=missing.device) < MASKED)
            if self.settings.augment:
                shades = vary(shades, self.settings.mirror)
        maps = functional.relu(self.stem((shades - self.mean) / self.scale))
        features = self.stages(maps).mean((2, 3))
        return torch.where(missing, self.missing, features)
