"""Who a process is among those that train one network together, each on its share of every batch; by default alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Said = TypeVar("Said")

APART = 500_009
"""Between the seeds of two members; more than any number of epochs, which are seeded one after the other."""


@dataclass(frozen=True)
class Team:
    """The member `rank` of `size`; torch's process group has started where there are several.

    For one that is alone nothing is copied, sent or computed.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this member writes what is written once."""
        return self.rank == 0

    def share(self, index: Tensor) -> Tensor:
        """This member's part of the row indices [M] of a batch; parts differ by one row at most."""
        return index.tensor_split(self.size)[self.rank]

    def scaled(self, loss: Tensor, share: Tensor, whole: Tensor) -> Tensor:
        """The mean loss of a share, scaled so that the members' mean of it is that of the whole batch."""
        return loss if self.size == 1 else loss * (self.size * len(share) / len(whole))

    def part(self, rows: int) -> tuple[int, int]:
        """First row and end of this member's part of so many rows."""
        return rows * self.rank // self.size, rows * (self.rank + 1) // self.size

    def seed(self, shared: int) -> None:
        """Lets members draw apart from here on; the first goes on with what all have drawn from."""
        if self.rank:
            torch.manual_seed(shared + self.rank * APART)

    def joined(self, network: nn.Module) -> nn.Module:
        """The network to train by: its gradients become the members' mean while they are computed."""
        if self.size == 1:
            return network
        # Looking for unused parameters also keeps the gradients' order on the wire from changing after the first step:
        # the sum of three rounds otherwise, and a resumed training would end with other weights.
        return DistributedDataParallel(network, broadcast_buffers=False, find_unused_parameters=True)

    def average(self, *values: Tensor) -> None:
        """Replaces each tensor by its mean over the members, in which all agree to the bit."""
        if self.size > 1:
            for value in values:
                distributed.all_reduce(value)
                value /= self.size

    def follow(self, values: Iterable[Tensor]) -> None:
        """Replaces each tensor by that of the first member."""
        if self.size > 1:
            for value in values:
                distributed.broadcast(value, 0)

    def told(self, said: Said) -> Said:
        """What the first member says, told to all."""
        if self.size == 1:
            return said
        heard = [said]
        distributed.broadcast_object_list(heard, 0)
        return heard[0]


ALONE = Team()
