"""Changes of recordings that leave their meaning, drawn anew for each row of each epoch (torch)."""

import torch
from torch import Tensor

SPEED = 0.15
"""Largest change of speed, as a logarithm."""
LATER = 0.05
"""Largest part of a recording that is left out at its start."""
GAIN = 0.5
"""Largest change of loudness, as a logarithm."""
NOISY = 0.5
"""Share of the recordings that get noise."""
NOISE_DB = (5.0, 40.0)
"""Signal-to-noise ratios."""
WARP = 0.1
"""Largest stretch of the bands, as a logarithm."""
BANDS_HIDDEN = 0.2
FRAMES_HIDDEN = 0.25
"""Largest shares that a gap takes."""


def uniform(x: Tensor, low: float, high: float) -> Tensor:
    """A random number for each row, [N, 1]."""
    return torch.empty(len(x), 1, device=x.device).uniform_(low, high)


def play(sound: Tensor, length: Tensor, change: float = SPEED) -> tuple[Tensor, Tensor]:
    """The recordings [N, samples] from a little later and at another speed, and their lengths [N, 1].

    Speed perturbation (Ko et al. 2015), by a logarithm of at most `change`, through linear interpolation; what no
    longer fits is cut off.
    """
    speed, start = torch.exp(uniform(sound, -change, change)), uniform(sound, 0, LATER) * length
    places = torch.arange(sound.shape[1], device=sound.device)
    changed = ((length - start) / speed).ceil().long().clamp(max=sound.shape[1])
    played = interpolate(sound, start + places * speed)
    return played * (places < changed), changed


def disturb(sound: Tensor, length: Tensor) -> Tensor:
    """Recordings [N, samples] of root mean square 1, louder or quieter, some of them with white noise."""
    noise = 10 ** (-uniform(sound, *NOISE_DB) / 20) * (uniform(sound, 0, 1) < NOISY)
    exists = torch.arange(sound.shape[1], device=sound.device) < length
    return (sound + torch.randn_like(sound) * noise) * exists * torch.exp(uniform(sound, -GAIN, GAIN))


def warp_bands(spectra: Tensor) -> Tensor:
    """Spectra [N, BANDS, T] stretched in frequency, as by another vocal tract (Jaitly and Hinton 2013)."""
    bands = torch.arange(spectra.shape[1], device=spectra.device)
    return interpolate(spectra, bands * torch.exp(uniform(spectra, -WARP, WARP)))


def interpolate(x: Tensor, places: Tensor) -> Tensor:
    """The values of x [N, P, ...] at fractional places [N, P]; beyond the last one, the last."""
    last = x.shape[1] - 1
    places = places.clamp(max=last)
    left = places.floor()
    shape = (*places.shape, *[1] * (x.dim() - 2))
    index = left.long().view(shape).expand_as(x)
    following = (index + 1).clamp(max=last)
    return torch.lerp(x.gather(1, index), x.gather(1, following), (places - left).view(shape))


def hide(spectra: Tensor, frames: Tensor) -> Tensor:
    """Standardised spectra [N, BANDS, T], of `frames` [N, 1], with a gap in time and one in frequency.

    SpecAugment (Park et al. 2019).
    """
    bands = _gap(spectra.shape[1], torch.full_like(frames, spectra.shape[1]), BANDS_HIDDEN)
    times = _gap(spectra.shape[2], frames, FRAMES_HIDDEN)
    return spectra * ~(bands.unsqueeze(2) | times.unsqueeze(1))


def _gap(places: int, length: Tensor, share: float) -> Tensor:
    """Mask [N, places] of one gap of random width, up to a share of the length [N, 1], and of random place."""
    width = uniform(length, 0, share) * length
    start = uniform(length, 0, 1) * (length - width)
    place = torch.arange(places, device=length.device)
    return (place >= start.round()) & (place < (start + width).round())
