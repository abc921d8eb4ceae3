"""Variations of pictures that leave their meaning: place, size, angle, light, colour, sharpness and noise."""

import math

import torch
from torch import Tensor
from torch.nn import functional

ROTATION = math.radians(10)
SHIFT = 0.08
"""Of the side, in each direction."""
ZOOM = 0.15
STRETCH = 0.1
LIGHT = 40.0
"""Shades added or taken, of 255."""
CONTRAST = 0.35
TINT = 0.12
"""Of each colour's strength, one by one."""
SATURATION = 0.4
STROKE = 0.5
"""Largest share of the brightest or darkest neighbour."""
NOISE = 12.0
"""Largest standard deviation in shades."""


def vary(shades: Tensor, mirror: bool) -> Tensor:
    """Pictures [N, 3, H, W] in shades of 0 to 255, each varied by its own draw; mirrored by half if asked to."""
    return _recolour(_blur(_thicken(_move(shades, mirror))))


def _signed(rows: Tensor, *shape: int) -> Tensor:
    """Uniform draws in -1 to 1, [N, *shape]."""
    return torch.rand(len(rows), *shape, device=rows.device) * 2 - 1


def _move(shades: Tensor, mirror: bool) -> Tensor:
    """Turned, shifted, zoomed and stretched by one affine map a picture; edges continue beyond the border."""
    height, width = shades.shape[2:]
    angle = _signed(shades) * ROTATION
    zoom, stretch = torch.exp(_signed(shades) * ZOOM), torch.exp(_signed(shades) * STRETCH)
    across, down = zoom * stretch, zoom / stretch
    if mirror:
        across = across * torch.where(torch.rand_like(across) < 0.5, -1.0, 1.0)
    cos, sin, shift = torch.cos(angle), torch.sin(angle), _signed(shades, 2) * SHIFT * 2
    rows = (
        cos * across,
        -sin * height / width * down,
        shift[:, 0],
        sin * width / height * across,
        cos * down,
        shift[:, 1],
    )
    grid = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(shades.shape), align_corners=False)
    return functional.grid_sample(shades, grid, padding_mode="border", align_corners=False)


def _thicken(shades: Tensor) -> Tensor:
    """A third of the pictures mixed with their own 3x3 maxima, a third with their minima: other strokes."""
    share = _signed(shades, 1, 1, 1) * 1.5
    bright = functional.max_pool2d(shades, 3, 1, 1)
    dark = -functional.max_pool2d(-shades, 3, 1, 1)
    lighter = torch.lerp(shades, bright, (share - 0.5).clamp(0, 1) * STROKE)
    return torch.lerp(lighter, dark, (-share - 0.5).clamp(0, 1) * STROKE)


def _blur(shades: Tensor) -> Tensor:
    """Half of the pictures mixed with their own 3x3 means."""
    share = _signed(shades, 1, 1, 1).clamp(min=0)
    return torch.lerp(shades, functional.avg_pool2d(shades, 3, 1, 1, count_include_pad=False), share)


def _recolour(shades: Tensor) -> Tensor:
    """Other light, contrast, saturation and tint, and noise; shades stay within 0 to 255."""
    grey = shades.mean(1, keepdim=True)
    middle = grey.mean((2, 3), keepdim=True)
    gain = torch.exp(_signed(shades, 1, 1, 1) * CONTRAST)
    colour = gain * torch.exp(_signed(shades, 1, 1, 1) * SATURATION)
    tint = torch.exp(_signed(shades, 3, 1, 1) * TINT)
    varied = (middle + (grey - middle) * gain + (shades - grey) * colour) * tint
    noise = torch.randn_like(shades) * (_signed(shades, 1, 1, 1).clamp(min=0) * NOISE)
    return (varied + _signed(shades, 1, 1, 1) * LIGHT + noise).clamp(0, 255)
