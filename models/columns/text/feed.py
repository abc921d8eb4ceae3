"""Texts from raw cells to the graph: every type becomes a string, cut to a length, whose tokens the graph finds."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from models.columns.category.feed import CategoryKind, CategorySettings
from models.columns.cells import MARKS, as_array, canonical, is_text, mask_missing, plain
from models.columns.kind import ColumnKind, LargeSettings, Parsed, Ragged, Refusal, Shift, Statistics
from models.columns.text.characters import Codes, code_points, code_table, in_every_case
from models.columns.text.statistics import TextProfile, TextStatistics, fit_text, piece_ids, portions, token_ids
from models.columns.text.tokens import FIRST_WORD, UNKNOWN_WORD, find_words, frame, spelt

if TYPE_CHECKING:
    from onnx import NodeProto

CATEGORY = CategoryKind()
"""Numbers, dates and booleans become text as they do there."""


class TextSettings(LargeSettings):
    """How much of a text is read, and how large its vocabulary grows."""

    kind: Literal["text"] = "text"
    max_characters: int = Field(2000, ge=1, le=100_000, description="longer texts are cut there")
    max_words: int = Field(20_000, ge=0, description="most frequent words that are known")
    max_pairs: int = Field(20_000, ge=0, description="most frequent pairs of neighbouring words that are known")
    max_pieces: int = Field(40_000, ge=0, description="most frequent pieces of words that are known")
    min_count: int = Field(2, ge=1, description="times that a word, pair or piece must occur to be known")
    width: int = Field(128, ge=1, description="features of a text")


class TextKind(ColumnKind[TextSettings, TextStatistics]):
    """Free text of any language; letters are read in one case."""

    name = "text"
    joined: ClassVar[bool] = False
    ragged: ClassVar[bool] = True
    input_type: ClassVar[Any] = np.object_
    encoded_type: ClassVar[Any] = np.int32
    encoder_module = "models.columns.text.encoder"
    settings = TextSettings
    statistics = TextStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """Typing errors and capitals."""
        from models.columns.text.shifts import SHIFTS

        return SHIFTS

    @property
    def profile(self) -> type[Statistics]:
        """Lengths; the vocabulary is in the graph."""
        return TextProfile

    def profiled(self, statistics: TextStatistics) -> TextProfile:
        """How long texts are."""
        return statistics.profile

    def arrow_type(self, settings: TextSettings) -> pa.DataType:
        """Strings."""
        return pa.string()

    def reads(self, raw: pa.DataType, settings: TextSettings) -> bool:
        """Every type but nested and binary ones."""
        return is_text(raw) or CATEGORY.reads(raw, CategorySettings())

    def parse(self, raw: pa.Array, settings: TextSettings, missing: tuple[str, ...]) -> Parsed:
        """Composed Unicode text (NFC) without white space around it, cut; refused are nested or binary values.

        What was parsed stays as it is when it is parsed again. Of the default marks, "?" is a text like any other.
        """
        column = plain(as_array(raw))
        refusals: tuple[Refusal, ...] = ()
        if not is_text(column.type):
            parsed = CATEGORY.parse(column, CategorySettings(), missing)
            column, refusals = parsed.values.cast(pa.string()), parsed.refusals
        marks = _marks(missing)
        known = mask_missing(canonical(_composed(_well_formed(column))), marks)
        cut = pc.utf8_slice_codeunits(known, 0, settings.max_characters)
        # What is left of a longer text may be spelt as a mark or a number.
        return Parsed(cut if cut.equals(known) else mask_missing(canonical(cut), marks), refusals)

    def fit(self, chunks: Iterable[pa.Array], settings: TextSettings) -> TextStatistics:
        """The vocabulary of the training texts, most frequent first, and their lengths."""
        return fit_text(chunks, settings.max_words, settings.max_pairs, settings.max_pieces, settings.min_count)

    def to_input(self, values: pa.Array, settings: TextSettings) -> NDArray[Any]:
        """Strings [N], "" where missing."""
        return np.asarray(pc.fill_null(as_array(values), "").to_numpy(zero_copy_only=False), dtype=object)

    def encode(self, values: pa.Array, settings: TextSettings, statistics: TextStatistics) -> Ragged:
        """Ids of the tokens of each text, int32: 1 for an unknown word, then words, pairs and pieces.

        Pieces of known words are left out, as they follow from the word: the encoder adds them.
        """
        table = code_table(in_every_case(statistics.characters))
        known = spelt(statistics.words)[1].keys
        encoded = [_encode(texts, table, known, statistics) for texts in portions(as_array(values))]
        ids = [np.empty(0, np.int32), *(piece.values for piece in encoded)]
        lengths = [np.empty(0, np.int64), *(piece.lengths for piece in encoded)]
        return Ragged(np.concatenate(ids), np.concatenate(lengths))

    def graph_nodes(
        self, source: str, target: str, settings: TextSettings, statistics: TextStatistics
    ) -> "list[NodeProto]":
        """The split into characters, and the look-up of what they form."""
        from models.columns.text.graph import token_nodes

        return token_nodes(source, target, statistics, settings.max_characters)

    def ids(self, statistics: TextStatistics) -> int:
        """Nothing, the unknown word, and all words, pairs and pieces."""
        return statistics.ids

    def sizes(self, feed: NDArray[Any]) -> NDArray[np.int64]:
        """Characters of each string, [N]."""
        return np.fromiter(map(len, feed), dtype=np.int64, count=len(feed))

    def watched(self, values: pa.Array, settings: TextSettings) -> Mapping[str, NDArray[np.float64]]:
        """Lengths."""
        lengths = pc.utf8_length(as_array(values)).cast(pa.float64())
        return {"characters": np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.float64)}


def _marks(missing: tuple[str, ...]) -> tuple[str, ...]:
    """Marks of a missing text, spelt as they are given and as they are read."""
    given = tuple(mark for mark in missing if mark != "?") if set(MARKS) <= set(missing) else missing
    return (*given, *canonical(_composed(pa.array(given, pa.string()))).to_pylist())


def _well_formed(text: pa.Array) -> pa.Array:
    """The strings, with a replacement character for bytes that are no UTF-8, which a file may hold all the same."""
    text = text.cast(pa.string())
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        bytes_of = text.cast(pa.binary()).to_pylist()
        return pa.array([None if cell is None else cell.decode("utf-8", "replace") for cell in bytes_of], pa.string())
    return text


def _composed(text: pa.Array) -> pa.Array:
    """The strings in Unicode's composed form (NFC); Arrow's own function gives the decomposed one."""
    if pc.all(pc.string_is_ascii(text)).as_py() is not False:
        return text
    cells = text.to_pylist()
    if unicodedata.is_normalized("NFC", "\n".join(filter(None, cells))):
        return text
    return pa.array([None if cell is None else unicodedata.normalize("NFC", cell) for cell in cells], pa.string())


def _encode(texts: pa.Array, table: Codes, known: Codes, statistics: TextStatistics) -> Ragged:
    """Ids of all words, of known pairs, and of the known pieces of unknown words."""
    points, lengths = code_points(texts)
    framed = frame(table[points], lengths)
    words = find_words(framed)
    ids = token_ids(words.keys, known, FIRST_WORD, UNKNOWN_WORD)
    pairs = token_ids(words.pair_keys, statistics.pairs, statistics.first_pair, 0)
    unknown = np.flatnonzero(ids == UNKNOWN_WORD)
    pieces = piece_ids(framed, words, unknown, statistics)
    found = np.concatenate([ids, np.where(words.followed, pairs, 0), pieces.ravel()])
    rows = np.concatenate([words.rows, words.rows, np.repeat(words.rows[unknown], pieces.shape[1])])
    order = np.argsort(rows[found > 0], kind="stable")
    counts = np.bincount(rows[found > 0], minlength=len(texts))
    return Ragged(found[found > 0][order], counts)
