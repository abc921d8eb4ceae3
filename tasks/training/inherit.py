"""A warm start: an untrained network takes over what fits of an earlier version's weights.

Statistics are those of the new training rows, as in any training: scaling, bins and profile follow the data. The
weights behind them are converted, so that the network says of a value what it said before. What belongs to a column, a
value, a word or a class is found by its name, not by its place, and what has no counterpart starts anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.columns import ColumnSettings, Statistics, tensor_groups
from models.columns.category.encoder import UNSEEN
from models.columns.category.statistics import CategoryStatistics
from models.columns.kind import LargeSettings
from models.columns.text.tokens import FIRST_WORD
from models.contract import SplitSpec
from models.network import FusionNetwork
from tasks.training.fitted import Inherited
from tasks.training.heritage import Heritage
from tasks.training.rebinned import LEARNT, Pairs, rebin

LEARNT_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Of normalisations; other buffers say what the training rows are like."""
BY_PART = ("boolean", "datetime")
"""Kinds whose encoder puts one feature of all columns after the other, rather than all features of a column."""
BY_COLUMN = ("number", "category")
FIRST = {"trunk.0.weight": 0, "trunk.0.input_scale": 1}
"""Parameters of the trunk's first layer, and the dimension that stands for the features of the encoders."""
VECTORS = "encoders.category.vectors.weight"
"""Of the values of all categories: each column has a missing and an unseen one, then its vocabulary."""
SHRUNK_BY = 300
"""Training rows of a category's value at which half of its inherited vector is kept."""
MOVED = "the split, so that rows which trained an earlier version may validate or test now"


def inherit(network: FusionNetwork, columns: Mapping[str, ColumnSettings], now: Heritage, then: Heritage) -> Inherited:
    """What the network took over. `now` is its own untrained state in the terms of its columns and classes.

    Nothing is taken over where a row that trained the earlier version may validate or test now.
    """
    names = [name for name, _ in network.named_parameters()]
    if not same_sides(SplitSpec.model_validate(now.split), SplitSpec.model_validate(then.split)):
        return Inherited((), tuple(names), (MOVED,))
    heir = _Heir(now, then, columns, frozenset(names))
    with torch.no_grad():
        for group in _groups(now.columns):
            heir.take_encoder(group)
        heir.take_trunk()
        heir.take_head()
    # Loaded rather than left: encoders compute what follows from their weights.
    network.load_state_dict(dict(now.state))
    kept = tuple(name for name in names if name in heir.taken)
    return Inherited(kept, tuple(name for name in names if name not in heir.taken), tuple(heir.news))


@torch.no_grad()
def loosen(network: FusionNetwork, fresh: Mapping[str, Tensor], statistics: Mapping[str, Statistics]) -> None:
    """Takes the vectors of categories' values back towards their `fresh` ones, by parameter: the rarer, the further.

    A vector that n training rows have taught keeps n / (n + 300) of itself, as what is estimated of a value is shrunk
    by its frequency (Micci-Barreca 2001). That of a rare value has learnt its few rows by heart; a network that kept
    it wholly would not get as good on all rows as one that began anew (Ash and Adams 2020, who shrink and perturb all
    weights alike). `statistics` are those of the columns, in their order.
    """
    found = [s for s in statistics.values() if isinstance(s, CategoryStatistics)]
    if not found:
        return
    rows = torch.tensor([n for s in found for n in (s.missing, s.rare, *s.counts)])
    network.get_parameter(VECTORS).lerp_(fresh[VECTORS], (SHRUNK_BY / (rows + SHRUNK_BY)).unsqueeze(1))


def same_sides(now: SplitSpec, then: SplitSpec) -> bool:
    """Whether no row that trained then validates or tests now, and none that validated then tests now."""
    if any(getattr(now, name) != getattr(then, name) for name in ("rule", "columns", "validation", "test", "sources")):
        return False
    if any(now.parsing.get(name) != then.parsing.get(name) for name in now.columns):
        return False
    cuts = ((now.validation_from, then.validation_from), (now.test_from, then.test_from))
    return all(late is None or early is None or late >= early for late, early in cuts)


@dataclass(frozen=True)
class _Group:
    """The columns of one encoder in their order, and the width and first of its features."""

    name: str
    kind: str
    columns: tuple[str, ...]

    @property
    def prefix(self) -> str:
        return f"encoders.{self.name}."


def _groups(columns: Mapping[str, str]) -> list[_Group]:
    names, kinds = list(columns), list(columns.values())
    return [_Group(name, kinds[at[0]], tuple(names[i] for i in at)) for name, at in tensor_groups(kinds).items()]


class _Heir:
    """Takes from one state into another, and notes what was taken and what is new."""

    def __init__(
        self, now: Heritage, then: Heritage, columns: Mapping[str, ColumnSettings], parameters: frozenset[str]
    ) -> None:
        self._now, self._then, self._columns, self._parameters = now, then, columns, parameters
        self._features: list[tuple[int, int]] = []
        self._group_then = {column: group for group in _groups(then.columns) for column in group.columns}
        self._start, self._start_then = _starts(now), _starts(then)
        self.taken: set[str] = set()
        self.news: list[str] = []

    def take_encoder(self, group: _Group) -> None:
        """An encoder's weights, and which of its features are those of then."""
        known = [name for name in group.columns if self._then.columns.get(name) == group.kind]
        added = [name for name in group.columns if name not in known]
        if added:
            self.news.append(f"columns: {', '.join(added)}")
        if not known:
            return
        before = self._group_then[known[0]]
        if group.kind in (*BY_PART, *BY_COLUMN):
            self._take_joined(group, before)
        elif group.columns == before.columns:
            self._take_whole(group, before)
        elif not added:
            self.news.append(f"channels: {', '.join(group.columns)}")

    def _take_joined(self, group: _Group, before: _Group) -> None:
        pairs = [(i, before.columns.index(c)) for i, c in enumerate(group.columns) if c in before.columns]
        width = self._now.features[group.name] // len(group.columns)
        if width != self._then.features[before.name] // len(before.columns):
            self.news.append(f"width: {group.kind} columns")
            return
        if group.kind == "number":
            self._rebin(group.prefix, before.prefix, pairs)
        elif group.kind == "category":
            self._take_values(group, before, pairs)
        for new, old in pairs:
            for part in range(width):
                at, at_then = (
                    part * len(g.columns) + i if group.kind in BY_PART else i * width + part
                    for g, i in ((group, new), (before, old))
                )
                self._features.append((self._start[group.name] + at, self._start_then[before.name] + at_then))

    def _rebin(self, prefix: str, prefix_then: str, pairs: Pairs) -> None:
        rebin(_part(self._now.state, prefix), _part(self._then.state, prefix_then), pairs)
        self.taken |= {prefix + name for name in LEARNT}

    def _take_values(self, group: _Group, before: _Group, pairs: Pairs) -> None:
        """Vectors of the values that both know, of all columns in one table."""
        start, start_then = _tables(self._now, group), _tables(self._then, before)
        for new, old in pairs:
            shared = self._shared(group.columns[new], UNSEEN + 1)
            self._take_rows(
                f"{group.prefix}vectors.weight",
                f"{before.prefix}vectors.weight",
                [(start[new] + i, start_then[old] + j) for i, j in shared],
            )

    def _take_whole(self, group: _Group, before: _Group) -> None:
        """An encoder of one column, or of channels that belong together."""
        column, features = group.columns[0], self._now.features[group.name]
        settings = self._columns[column]
        own = isinstance(settings, LargeSettings) and settings.encoder is not None
        entries, entries_then = self._now.entries.get(column), self._then.entries.get(column)
        if features != self._then.features[before.name]:
            self.news.append(f"width: {', '.join(group.columns)}")
            return
        if own and entries is not None and entries_then is not None and not torch.equal(entries, entries_then):
            self.news.append(f"words: {column}")
            return
        left: tuple[str, ...] = ()
        if not own and entries is not None:
            left = ("vectors",)
            names = f"{group.prefix}vectors", f"{before.prefix}vectors"
            self._take_rows(*names, self._shared(column, FIRST_WORD))
        elif group.kind == "series":
            left = ("embedded.",)
            embedded = len(self._now.state[f"{group.prefix}embedded.bias"])
            self._rebin(f"{group.prefix}embedded.", f"{before.prefix}embedded.", [(i, i) for i in range(embedded)])
        self._take_by_name(group.prefix, before.prefix, left)
        start, start_then = self._start[group.name], self._start_then[before.name]
        self._features += [(start + i, start_then + i) for i in range(features)]

    def _shared(self, column: str, reserved: int) -> Pairs:
        """Places of the vectors that both have: the reserved ones in front, and those of entries that both know."""
        places = {entry: at for at, entry in enumerate(self._then.entries[column].tolist(), reserved)}
        entries = self._now.entries[column].tolist()
        found = [(at, places[entry]) for at, entry in enumerate(entries, reserved) if entry in places]
        if len(found) < len(entries):
            self.news.append(f"{len(entries) - len(found):,} of {len(entries):,} values: {column}")
        return [*((i, i) for i in range(reserved)), *found]

    def _take_rows(self, name: str, name_then: str, pairs: Pairs) -> None:
        new, old = (torch.tensor(places) for places in zip(*pairs, strict=True))
        self._now.state[name][new] = self._then.state[name_then][old]
        self.taken.add(name)

    def _take_by_name(self, prefix: str, prefix_then: str, left: Sequence[str] = ()) -> None:
        """Parameters, and buffers that are learnt, of the same name and shape."""
        for name, value in _part(self._now.state, prefix).items():
            before = self._then.state.get(prefix_then + name)
            learnt = prefix + name in self._parameters or name.endswith(LEARNT_BUFFERS)
            if learnt and before is not None and before.shape == value.shape and not name.startswith(tuple(left)):
                value.copy_(before)
                self.taken.add(prefix + name)

    def take_trunk(self) -> None:
        """The layers between encoders and head; of the first one what belongs to features that both have."""
        self._take_by_name("trunk.", "trunk.", () if self._same_features() else ("0.weight", "0.input_scale"))
        if self._features and not self._same_features():
            new, old = (torch.tensor(places) for places in zip(*self._features, strict=True))
            for name, dim in FIRST.items():
                value, before = self._now.state.get(name), self._then.state.get(name)
                if value is not None and before is not None and value.shape[1 - dim] == before.shape[1 - dim]:
                    value.index_copy_(dim, new, before.index_select(dim, old))
                    self.taken.add(name)

    def _same_features(self) -> bool:
        """Whether each feature has its place of then; only such an own trunk can be taken over."""
        everything = [(i, i) for i in range(sum(self._now.features.values()))]
        return self._features == everything and sum(self._then.features.values()) == len(everything)

    def take_head(self) -> None:
        """Class by class, or the same values in the new standard deviations."""
        weight, bias = (self._now.state[f"head.{name}"] for name in ("weight", "bias"))
        weight_then, bias_then = (self._then.state[f"head.{name}"] for name in ("weight", "bias"))
        classes, classes_then = self._now.classes, self._then.classes
        if weight.shape[:2] != weight_then.shape[:2] or bool(classes) != bool(classes_then):
            return
        for at, before in ((at, classes_then.index(c)) for at, c in enumerate(classes) if c in classes_then):
            weight[:, :, at], bias[:, at] = weight_then[:, :, before], bias_then[:, before]
        if not classes:
            ratio = self._then.scale / self._now.scale
            weight.copy_(weight_then * ratio)
            bias.copy_(bias_then * ratio + (self._then.mean - self._now.mean) / self._now.scale)
        self.taken |= {"head.weight", "head.bias"}


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _starts(heritage: Heritage) -> dict[str, int]:
    """The place of the first feature of each encoder."""
    starts, total = {}, 0
    for name, width in heritage.features.items():
        starts[name] = total
        total += width
    return starts


def _tables(heritage: Heritage, group: _Group) -> list[int]:
    """The place of each column's first vector in the table that they share."""
    starts = [0]
    for column in group.columns:
        starts.append(starts[-1] + UNSEEN + 1 + len(heritage.entries[column]))
    return starts
