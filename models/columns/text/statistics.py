"""What training rows say about a text: its vocabulary, and how long texts are."""

from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.kind import Statistics
from models.columns.text.characters import CODE_POINTS, Codes, code_of, code_points
from models.columns.text.counting import Counter
from models.columns.text.tokens import PIECES, find_words, frame, piece_keys, within_words

ROWS = 1 << 14
"""Texts looked at together at most."""
CHARACTERS = 1 << 21
"""Characters looked at together at most, a single longer text aside."""
LARGEST_COUNTER = 1 << 21
"""Distinct tokens of one sort that are counted at a time."""
ALPHABET = 5000
"""Most frequent characters that are known."""
PROFILE_QUANTILES = 21


class TextProfile(Statistics):
    """How long texts are, in characters and in words, where they are not missing; empty when all are."""

    mean_characters: float
    character_quantiles: tuple[float, ...]
    """Evenly spaced quantiles from the shortest to the longest."""
    mean_words: float
    word_quantiles: tuple[float, ...]


class TextStatistics(Statistics):
    """The vocabulary, as keys of `tokens`, most frequent first, and the profile that drift is judged against."""

    characters: str
    """The known ones, most frequent first."""
    words: tuple[int, ...]
    pairs: tuple[int, ...]
    pieces: tuple[int, ...]
    profile: TextProfile

    @property
    def first_pair(self) -> int:
        """The id of the first pair, behind 0 for nothing, 1 for an unknown word, and the words."""
        return 2 + len(self.words)

    @property
    def first_piece(self) -> int:
        """The id of the first piece, behind the pairs."""
        return self.first_pair + len(self.pairs)

    @property
    def ids(self) -> int:
        """How many ids there are."""
        return self.first_piece + len(self.pieces)


class TextSummary:
    """Counts of characters, tokens and lengths of the texts seen so far."""

    def __init__(self) -> None:
        self.texts = 0
        self.table = np.zeros(CODE_POINTS, dtype=np.int64)
        self.characters = np.zeros(CODE_POINTS, dtype=np.int64)
        self.words, self.pairs, self.pieces = (Counter(LARGEST_COUNTER) for _ in range(3))
        self.lengths, self.word_counts = Lengths(), Lengths()

    def add(self, texts: pa.Array) -> Self:
        """Counts texts that are not null."""
        points, lengths = code_points(texts)
        self._add_characters(points)
        framed = frame(self.table[points], lengths)
        words = find_words(framed)
        self.words.add(words.keys)
        self.pairs.add(words.pair_keys[words.followed])
        runs = [piece_keys(framed.codes, length)[within_words(framed.codes, length)] for length in PIECES]
        self.pieces.add(np.concatenate(runs))
        self.lengths.add(lengths)
        self.word_counts.add(np.diff(np.searchsorted(words.starts, framed.ends), prepend=0))
        self.texts += len(texts)
        return self

    def _add_characters(self, points: NDArray[np.uint32]) -> None:
        self.characters += np.bincount(points, minlength=CODE_POINTS)
        new = np.flatnonzero((self.characters > 0) & (self.table == 0))
        self.table[new] = [code_of(chr(point)) for point in new]

    def alphabet(self) -> str:
        """The most frequent characters, ties by code point."""
        order = np.argsort(-self.characters, kind="stable")[:ALPHABET]
        return "".join(chr(point) for point in order[self.characters[order] > 0])


class Lengths:
    """A histogram of lengths, from which any quantile is exact."""

    def __init__(self) -> None:
        self.counts = np.zeros(1, dtype=np.int64)

    def add(self, lengths: NDArray[np.int64]) -> None:
        """Counts the lengths."""
        size = max(len(self.counts), int(lengths.max(initial=0)) + 1)
        self.counts = np.pad(self.counts, (0, size - len(self.counts))) + np.bincount(lengths, minlength=size)

    def mean(self) -> float:
        """The mean length, 0 of none."""
        return float(np.arange(len(self.counts)) @ self.counts / max(1, self.counts.sum()))

    def quantiles(self) -> tuple[float, ...]:
        """Lengths that evenly spaced shares of the texts do not exceed; none of none."""
        total = self.counts.sum()
        if not total:
            return ()
        ranks = np.linspace(0, total - 1, PROFILE_QUANTILES).astype(np.int64)
        found = np.searchsorted(np.cumsum(self.counts), ranks, side="right")
        return tuple(found.astype(float).tolist())


def fit_text(
    chunks: Iterable[pa.Array], max_words: int, max_pairs: int, max_pieces: int, min_count: int
) -> TextStatistics:
    """The most frequent tokens of each sort that occur at least `min_count` times, in one pass in bounded memory."""
    summary, count = TextSummary(), 0
    for chunk in chunks:
        count += len(chunk)
        for texts in portions(chunk.drop_null()):
            summary.add(texts)
    return TextStatistics(
        count=count,
        missing=count - summary.texts,
        characters=summary.alphabet(),
        words=_kept(summary.words, max_words, min_count),
        pairs=_kept(summary.pairs, max_pairs, min_count),
        pieces=_kept(summary.pieces, max_pieces, min_count),
        profile=_profile(summary, count),
    )


def _kept(counter: Counter, limit: int, min_count: int) -> tuple[int, ...]:
    return tuple(counter.most_frequent(limit, min_count).tolist())


def _profile(summary: TextSummary, count: int) -> TextProfile:
    return TextProfile(
        count=count,
        missing=count - summary.texts,
        mean_characters=summary.lengths.mean(),
        character_quantiles=summary.lengths.quantiles(),
        mean_words=summary.word_counts.mean(),
        word_quantiles=summary.word_counts.quantiles(),
    )


def portions(texts: pa.Array) -> Iterator[pa.Array]:
    """The texts in pieces of a bounded number of rows and bytes."""
    offset = 0
    while offset < len(texts):
        piece = texts.slice(offset, ROWS)
        sizes = np.cumsum(pc.fill_null(pc.binary_length(piece), 0).to_numpy(zero_copy_only=False))
        piece = piece.slice(0, max(1, int(np.searchsorted(sizes, CHARACTERS, side="right"))))
        yield piece
        offset += len(piece)


def token_ids(keys: Codes, known: tuple[int, ...], first: int, unknown: int) -> NDArray[np.int32]:
    """Ids of keys: `first` and following for the known ones, in order, else `unknown`."""
    found = pc.index_in(pa.array(keys), value_set=pa.array(known, pa.int64()))
    ids = pc.add(found, pa.scalar(first, pa.int32()))
    return np.asarray(pc.fill_null(ids, pa.scalar(unknown, pa.int32())), dtype=np.int32)
