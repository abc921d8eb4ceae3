"""The default network: an encoder per column kind, one trunk shared by several members, and a head."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.columns import KINDS, ColumnSettings, Statistics, tensor_groups
from models.columns.kind import LargeSettings
from models.errors import InputError
from models.heads import Head, TargetStatistics, build_head
from models.modelfile import ModelFile
from models.ownnetwork import ROWS, own_encoder, own_text_encoder, own_trunk
from models.sections import Network


class MemberLayer(nn.Module):
    """A linear layer that members share but for scales and a bias of their own (BatchEnsemble, Wen et al. 2020).

    Weights start as He et al. (2015) propose for ReLU.
    """

    def __init__(self, members: int, inputs: int, outputs: int, first: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * (2 / inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(members, outputs))
        # Only the first layer's members differ at the start, by random signs (TabM, Gorishniy et al. 2024).
        signs = torch.randint(0, 2, (members, inputs)).float() * 2 - 1
        self.input_scale = nn.Parameter(signs if first else torch.ones(members, inputs))
        self.output_scale = nn.Parameter(torch.ones(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[N, members, inputs], or [N, 1, inputs] if members share the input, -> [N, members, outputs]."""
        return torch.matmul(x * self.input_scale, self.weight) * self.output_scale + self.bias


class RowDropout(nn.Module):
    """Dropout of units [N, members, width] with one mask per row for all members.

    Random numbers for each member would take a third of a training step on a CPU, and do not make it better.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """The units with a share of them dropped while training."""
        if not self.training or self.share == 0:
            return x
        return x * functional.dropout(x.new_ones(len(x), 1, x.shape[2]), self.share)


class SingleMember(nn.Module):
    """A trunk of one prediction a row, [N, inputs] -> [N, width], where one of several members is expected."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, inputs] -> [N, 1, width]."""
        hidden: Tensor = self.trunk(x.squeeze(1))
        return hidden.unsqueeze(1)


class FusionNetwork(nn.Module):
    """Encoders of the columns, whose features one trunk fuses for several members, and a head (TabM)."""

    def __init__(
        self, encoders: dict[str, nn.Module], head: Head, network: Network, trunk: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        inputs = count_features(encoders)
        self.trunk = trunk or _members_trunk(inputs, network)
        self.head = head

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Each member's outputs [N, members, outputs], from the tensor [N, ...] of each group of columns."""
        features = torch.cat([encoder(inputs[group]) for group, encoder in self.encoders.items()], dim=1)
        outputs: Tensor = self.head(self.trunk(features.unsqueeze(1)))
        return outputs

    def aggregate(self, outputs: Tensor) -> Tensor:
        """The members' common prediction: log-probabilities [N, classes], or the value [N, 1]."""
        return self.head.aggregate(outputs)


def build_network(
    columns: Sequence[tuple[ColumnSettings, Statistics]],
    target: TargetStatistics,
    network: Network,
    seed: int = 0,
    own_code: Mapping[str, str] = MappingProxyType({}),
) -> FusionNetwork:
    """An untrained network for the columns, by settings and statistics; equal seeds give equal weights.

    `own_code` holds the SHA-256 of the user's Python files that settings name. Raises InputError when the network does
    not fit the memory, or such a file can't be used.
    """
    groups = tensor_groups([settings.kind for settings, _ in columns])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            encoders = {n: _encoder([columns[i] for i in group], network, own_code) for n, group in groups.items()}
            if network.file is None:
                return FusionNetwork(encoders, build_head(network.members, network.width, target), network)
            trunk = own_trunk(Path(network.file), own_code[network.file], count_features(encoders), network.width)
            return FusionNetwork(encoders, build_head(1, network.width, target), network, SingleMember(trunk))
        except RuntimeError as error:
            if "alloc" not in str(error):
                raise
            raise InputError("[network]: too large for the memory; lower width, members or embedding") from None


def untrained_network(
    model_file: ModelFile, statistics: Mapping[str, Statistics], target: TargetStatistics
) -> FusionNetwork:
    """The network of a model file, for columns of these statistics and such a target."""
    columns = [(settings, statistics[name]) for name, settings in model_file.columns.items()]
    return build_network(columns, target, model_file.network, model_file.training.seed, model_file.own_code)


def count_features(encoders: Mapping[str, nn.Module]) -> int:
    """Features of all encoders together."""
    return sum(cast(int, encoder.out_features) for encoder in encoders.values())


def _members_trunk(inputs: int, network: Network) -> nn.Module:
    """Hidden layers that the members share."""
    layers: list[nn.Module] = []
    for position in range(network.depth):
        shared = MemberLayer(network.members, inputs, network.width, first=position == 0)
        layers += [shared, nn.ReLU(), RowDropout(network.dropout)]
        inputs = network.width
    return nn.Sequential(*layers)


def _encoder(
    columns: Sequence[tuple[ColumnSettings, Statistics]], network: Network, own_code: Mapping[str, str]
) -> nn.Module:
    """The encoder of columns of one kind, or the user's own for a column."""
    settings, statistics = zip(*columns, strict=True)
    first = settings[0]
    if isinstance(first, LargeSettings) and first.encoder:
        own = _own_encoder(first, statistics[0], own_code[first.encoder], network.width)
        own.out_features = network.width  # type: ignore[assignment]
        return own
    module = importlib.import_module(KINDS[first.kind].encoder_module)
    encoder: nn.Module = module.Encoder(settings, statistics, network)
    return encoder


def _own_encoder(settings: LargeSettings, statistics: Statistics, sha256: str, width: int) -> nn.Module:
    path, kind = Path(str(settings.encoder)), KINDS[settings.kind]
    if kind.ragged:
        return own_text_encoder(path, sha256, kind.ids(statistics), width)
    dtype = torch.from_numpy(np.empty(0, kind.encoded_type)).dtype
    return own_encoder(path, sha256, torch.zeros((ROWS, *kind.shape(settings)), dtype=dtype), width)
