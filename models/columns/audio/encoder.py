"""The network half of audio: a log-mel spectrum inside the graph, and a convolutional network over it."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.columns.audio import augment
from models.columns.audio.settings import END, FULL_SCALE, AudioSettings
from models.columns.audio.spectrum import FLOOR, SILENCE, Frames
from models.columns.audio.statistics import AudioStatistics
from models.sections import Network

CHANNELS = (24, 48, 96)
FIRST_STRIDE = 2
"""Frames from one step of time to the next behind the first layer."""
MOST_STEPS = 128
"""Steps of time behind the first layer; for longer recordings it takes larger strides."""
MASKED = 0.01
"""Share of training values shown as missing."""


class LogMel(nn.Module):
    """Standardised log-mel spectra of recordings; nothing in it is learned.

    The Fourier transform is a convolution, which every runtime has fast.
    """

    basis: Tensor
    mel: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, settings: AudioSettings, statistics: AudioStatistics) -> None:
        super().__init__()
        self.frames = Frames.of(settings)
        self.register_buffer("basis", torch.from_numpy(self.frames.basis()).unsqueeze(1))
        self.register_buffer("mel", torch.from_numpy(self.frames.mel()).unsqueeze(2))
        self.register_buffer("mean", torch.tensor(statistics.mean).unsqueeze(1))
        self.register_buffer("spread", torch.tensor(statistics.spread).unsqueeze(1))

    def forward(self, sound: Tensor) -> Tensor:
        """Spectra [N, BANDS, T] of the sound [N, samples]."""
        padded = functional.pad(sound, self.frames.padding).unsqueeze(1)
        cosines, sines = functional.conv1d(padded, self.basis, stride=self.frames.hop).chunk(2, dim=1)
        power = functional.conv1d(cosines.square() + sines.square(), self.mel)
        spectra: Tensor = ((power + FLOOR).log() - self.mean) / self.spread
        return spectra


class Layer(nn.Module):
    """A strided convolution, normalised over the batch (Ioffe and Szegedy 2015), and ReLU."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.stride = stride[1]
        around = (size[0] // 2, size[1] // 2)
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, around, bias=False)
        self.normalisation = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
        """[N, inputs, F, T] -> [N, outputs, F, T], 0 where the mask [N, 1, 1, T] says that no step exists; and it."""
        exists = exists[..., :: self.stride]
        return functional.relu(self.normalisation(self.convolution(x))) * exists, exists


class Encoder(nn.Module):
    """Features of one column of recordings, int16 [N, samples] -> [N, 2 * channels].

    Recordings are brought to one loudness. Each feature is the mean, or the maximum, over the steps of time that
    exist, of one channel's mean over the bands, so that neither place nor length matter.
    """

    def __init__(
        self, settings: Sequence[AudioSettings], statistics: Sequence[AudioStatistics], network: Network
    ) -> None:
        super().__init__()
        self.augment, self.vary_pitch = settings[0].augment, settings[0].vary_pitch
        self.log_mel = LogMel(settings[0], statistics[0])
        self.layers = nn.ModuleList(_layers(self.log_mel.frames.count))
        self.out_features = 2 * CHANNELS[-1]
        self.missing = nn.Parameter(torch.zeros(self.out_features))

    def forward(self, samples: Tensor) -> Tensor:
        """Features [N, out_features] of the recordings [N, samples]."""
        present = samples[:, :1] != END
        if self.training:
            present = present & (torch.rand(present.shape, device=present.device) >= MASKED)
        x, exists = self._spectra(samples)
        for layer in self.layers:
            x, exists = layer(x, exists)
        steps = exists.sum(dim=3).clamp(min=1).flatten(1)
        over_bands = x.mean(dim=2)
        features = torch.cat([over_bands.sum(dim=2) / steps, over_bands.amax(dim=2)], dim=1)
        return torch.where(present, features, self.missing)

    @torch.no_grad()
    def _spectra(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra [N, 1, BANDS, T], 0 where no frame exists, and the mask [N, 1, 1, T] of those that do."""
        changing, hop = self.training and self.augment, self.log_mel.frames.hop
        sound, length = waveform(samples)
        if changing:
            sound, length = augment.play(sound, length, augment.SPEED if self.vary_pitch else 0.0)
        sound = level(sound, length)
        if changing:
            sound = augment.disturb(sound, length)
        spectra = self.log_mel(sound)
        frames = torch.div(length + hop - 1, hop, rounding_mode="floor")
        if changing:
            spectra = augment.hide(augment.warp_bands(spectra) if self.vary_pitch else spectra, frames)
        exists = torch.arange(spectra.shape[2], device=spectra.device) < frames
        return (spectra * exists.unsqueeze(1)).unsqueeze(1), exists[:, None, None]


def waveform(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Sound within -1 and 1, [N, samples] with 0 behind the end, and the lengths [N, 1]."""
    exists = samples != END
    return torch.where(exists, samples.float() / FULL_SCALE, 0.0), exists.sum(dim=1, keepdim=True)


def level(sound: Tensor, length: Tensor) -> Tensor:
    """The sound [N, samples] without offset and at root mean square 1."""
    exists, count = torch.arange(sound.shape[1], device=sound.device) < length, length.clamp(min=1)
    centred = (sound - sound.sum(dim=1, keepdim=True) / count) * exists
    # The exporter takes numbers of 1e-8 or less for 0: added to the root, not to the power.
    return centred / ((centred.square().sum(dim=1, keepdim=True) / count).sqrt() + SILENCE)


def _layers(frames: int) -> list[Layer]:
    """Each number of channels takes two layers, the first of which halves bands and time."""
    first = max(FIRST_STRIDE, math.ceil(frames / MOST_STEPS))
    layers = [Layer(1, CHANNELS[0], (5, 2 * first + 1), (2, first))]
    for inputs, outputs in pairwise(CHANNELS):
        layers += [Layer(inputs, outputs, (3, 3), (2, 2)), Layer(outputs, outputs, (3, 3), (1, 1))]
    return layers
