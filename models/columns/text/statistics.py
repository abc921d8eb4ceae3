"""What training rows say about a text: its vocabulary, and how long texts are."""

from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array
from models.columns.kind import Statistics
from models.columns.text.characters import CODE_POINTS, Codes, code_of, code_points
from models.columns.text.counting import Counter
from models.columns.text.tokens import FIRST_WORD, Framed, Words, find_words, frame, piece_keys, spellings, spelt

ROWS = 1 << 14
"""Texts looked at together at most."""
CHARACTERS = 1 << 20
"""Characters looked at together at most, a single longer text aside."""
LARGEST_COUNTER = 1 << 20
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
    """The vocabulary, most frequent first, and the profile that drift is judged against."""

    characters: str
    """The known ones."""
    words: tuple[str, ...]
    pairs: tuple[int, ...]
    """Keys as `tokens` computes them."""
    pieces: tuple[int, ...]
    profile: TextProfile

    @property
    def first_pair(self) -> int:
        """The id of the first pair, behind those of the words."""
        return FIRST_WORD + len(self.words)

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
        self.words = Counter(pa.string(), LARGEST_COUNTER)
        self.pairs, self.pieces = Counter(pa.int64(), LARGEST_COUNTER), Counter(pa.int64(), LARGEST_COUNTER)
        self.lengths, self.word_counts = Lengths(), Lengths()

    def add(self, texts: pa.Array) -> Self:
        """Counts texts that are not null."""
        points, lengths = code_points(texts)
        self._add_characters(points)
        framed = frame(self.table[points], lengths)
        words = find_words(framed)
        self._add_words(framed, words)
        self.pairs.add(pa.array(words.pair_keys[words.followed]))
        self.lengths.add(lengths)
        self.word_counts.add(np.bincount(words.rows, minlength=len(texts)))
        self.texts += len(texts)
        return self

    def _add_words(self, framed: Framed, words: Words) -> None:
        _, first, counts = np.unique(words.keys, return_index=True, return_counts=True)
        self.words.add(pa.array(spellings(framed, words, first), pa.string()), counts)
        keys, valid = piece_keys(framed, words, first)
        self.pieces.add(pa.array(keys[valid]), np.repeat(counts, valid.sum(axis=1)))

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
        for texts in portions(as_array(chunk).drop_null()):
            summary.add(texts)
    return TextStatistics(
        count=count,
        missing=count - summary.texts,
        characters=summary.alphabet(),
        words=tuple(summary.words.most_frequent(max_words, min_count).to_pylist()),
        pairs=tuple(summary.pairs.most_frequent(max_pairs, min_count).to_pylist()),
        pieces=tuple(summary.pieces.most_frequent(max_pieces, min_count).to_pylist()),
        profile=_profile(summary, count),
    )


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


def token_ids(keys: Codes, known: Codes | tuple[int, ...], first: int, unknown: int) -> NDArray[np.int32]:
    """Ids of keys of any shape: `first` and following for the known ones, in order, else `unknown`."""
    found = pc.index_in(pa.array(keys.ravel()), value_set=pa.array(known, pa.int64()))
    ids = pc.fill_null(pc.add(found, pa.scalar(first, pa.int32())), pa.scalar(unknown, pa.int32()))
    return np.asarray(ids, dtype=np.int32).reshape(keys.shape)


def piece_ids(framed: Framed, words: Words, chosen: NDArray[np.int64], statistics: TextStatistics) -> NDArray[np.int32]:
    """Ids of the known pieces of the chosen words, 0 elsewhere, [M, PIECES_OF_WORD]."""
    keys, valid = piece_keys(framed, words, chosen)
    return np.where(valid, token_ids(keys, statistics.pieces, statistics.first_piece, 0), 0)


def pieces_of_words(statistics: TextStatistics) -> NDArray[np.int32]:
    """Ids of the pieces of each id before the first pair, and zeros, [FIRST_WORD + words, most pieces of a word]."""
    framed, words = spelt(statistics.words)
    ids = np.sort(piece_ids(framed, words, np.arange(len(statistics.words)), statistics), axis=1)
    most = int(np.count_nonzero(ids, axis=1).max(initial=1))
    return np.pad(ids[:, ids.shape[1] - most :], ((FIRST_WORD, 0), (0, 0)))
