"""How the last rows of each endpoint are distributed, in the cells of the served version's profile."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.columns.kind import FileSettings
from models.errors import PerennialError
from models.packaged import MODEL_FILE, read_model_settings
from models.profile import Profile, read_profile
from models.sections import Monitor
from tasks.monitoring.places import Places
from tasks.monitoring.vocabulary import vocabularies_of
from tasks.serving.beside.block import Block
from tasks.serving.beside.counts import MOST_ENDPOINTS, EndpointCounts, grown
from tasks.serving.beside.sent import Sent
from tasks.serving.served import Served

LOG = logging.getLogger("perennial.serve")
HALF = 2000
"""Rows of half a window: a window has the last half that is full, and the one that is filled now."""
AT_ONCE, FILES_AT_ONCE = 200, 4
"""Rows of an endpoint that are counted of what came within a second or so, the latter where rows hold files."""
MOST_BYTES = 128 << 20
"""That the counts of a model may take."""


class Expected:
    """What a version expects of its rows."""

    def __init__(self, served: Served, profile: Profile) -> None:
        self.profile, self.rules = profile, rules_in(served.folder)
        self.places = Places(served.contract, profile, vocabularies_of(served.folder, served.contract))
        self.at_once = (
            FILES_AT_ONCE if any(isinstance(s, FileSettings) for s in served.reader.columns.values()) else AT_ONCE
        )

    @classmethod
    def of(cls, served: Served) -> "Expected | None":
        """None of a version without a profile. Raises InputError where its files are damaged."""
        profile = read_profile(served.folder)
        return None if profile is None else cls(served, profile)

    @classmethod
    def known_of(cls, served: Served) -> "Expected | None":
        """The same; None, and a line in the log, where the files are damaged."""
        try:
            return cls.of(served)
        except PerennialError as error:
            LOG.error("%s version %s: drift of endpoints is not told: %s", served.name, served.version, error)
            return None

    @property
    def most_endpoints(self) -> int:
        """That there is memory for."""
        return max(1, min(MOST_ENDPOINTS, MOST_BYTES // (8 * (self.places.cells + 1))))


def rules_in(folder: Path) -> Monitor:
    """What counts as drift, by the model file in the folder of a version."""
    return read_model_settings(folder).monitor if (folder / MODEL_FILE).exists() else Monitor()


class Windows:
    """Counts by place of the endpoint; each window the sum of two halves."""

    def __init__(self, expected: Expected, capacity: int) -> None:
        self.expected = expected
        self.counts: NDArray[np.int32] = np.zeros((2, capacity, expected.places.cells), np.int32)
        self.rows: NDArray[np.int32] = np.zeros((2, capacity, 2), np.int32)
        """Counted rows, and rejected ones."""

    def fit(self, counts: EndpointCounts) -> None:
        """Makes room for as many endpoints as are counted."""
        if self.rows.shape[1] < counts.capacity:
            self.counts = grown(self.counts, counts.capacity, 1)
            self.rows = grown(self.rows, counts.capacity, 1)

    def clear(self, place: int) -> None:
        """Another endpoint has the place now."""
        self.counts[:, place], self.rows[:, place] = 0, 0

    def add(self, sents: list[Sent], places: list[int]) -> None:
        """Counts a sample of the rows, and all that were rejected."""
        for sent, place in zip(sents, places, strict=True):
            if sent.findings:
                self.rows[1, place, 1] += sent.rejected
        answered = [(s.answered, place) for s, place in zip(sents, places, strict=True) if s.answered]
        if answered:
            self._count(Block(answered[0][0].served, [each for each, _ in answered]), [place for _, place in answered])
        full = np.flatnonzero(self.rows[1].sum(axis=1) >= HALF)
        for side in (self.counts, self.rows):
            side[0, full] = side[1, full]
            side[1, full] = 0

    def _count(self, block: Block, places: list[int]) -> None:
        of_rows = np.repeat(np.array(places), block.counts)
        chosen = spread(of_rows, self.expected.at_once)
        columns, predictions = block.taken(chosen)
        used, groups = np.unique(of_rows[chosen], return_inverse=True)
        found = self.expected.places.count(columns, predictions, groups, len(used))
        self.counts[1, used] += found.astype(np.int32)
        self.rows[1, used, 0] += np.bincount(groups, minlength=len(used)).astype(np.int32)


def spread(groups: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Positions of at most so many rows of each group, evenly among its rows, in order."""
    order = np.argsort(groups, kind="stable")
    _, counts = np.unique(groups, return_counts=True)
    sizes = np.repeat(counts, counts)
    ranks = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[(sizes <= most) | (ranks * most % sizes < most)])
