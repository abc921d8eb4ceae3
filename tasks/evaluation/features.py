"""What baselines see of the columns: a table of numbers. Only training rows decide how values become numbers."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array, is_text
from tasks.evaluation.quiet import quiet
from tasks.evaluation.scored import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_VALUES = 254
"""Values of a category that boosting tells apart: it has 255 bins."""
MOST_WORDS = 20_000
"""Words and pairs of neighbouring words."""
TEXT_FEATURES = 100
"""Of a text, for boosting."""


@dataclass(frozen=True)
class Features:
    """Numbers of training and test rows, [N, F] each; NaN is a missing value."""

    train: Any
    """Floats [N, F], or a sparse matrix of that shape."""
    test: Any
    categorical: list[bool]
    """[F] marks codes of categories; none in a sparse matrix."""


def dense_features(train: pa.Table, test: pa.Table, columns: Collection[str], seed: int = 0) -> Features:
    """Train and test columns as float64 [N, F]. Texts are 100 components of their words, see `text_components`.

    Codes are by frequency in the training rows; values beyond 254 or unseen are missing, as are nulls. A date is five
    columns: seconds since 1970, and the hour, weekday, day and month, which the network has too. Pictures, recordings
    and series come `summarised`.
    """
    return _joined([*_plain(train, test, columns), *(_reduced(*texts, seed) for texts in _texts(train, test, columns))])


def sparse_features(train: pa.Table, test: pa.Table, columns: Collection[str], words: int = MOST_WORDS) -> Features:
    """Train and test columns for a linear model, sparse [N, F]: TF-IDF of so many words, categories, and numbers.

    Numbers have mean 0 and standard deviation 1, the mean where they are missing; each value of a category is one.
    """
    from scipy.sparse import hstack

    parts = [_linear(part) for part in _plain(train, test, columns) if part.categorical]
    parts += [word_weights(*texts, words) for texts in _texts(train, test, columns)]
    train_parts, test_parts = zip(*parts, strict=True)
    joined = hstack(train_parts, "csr"), hstack(test_parts, "csr")
    return Features(*joined, [False] * joined[0].shape[1])


def word_weights(train: Sequence[str], test: Sequence[str], most: int = MOST_WORDS) -> "tuple[csr_matrix, csr_matrix]":
    """TF-IDF of the words and pairs of neighbouring words of each text, the most frequent ones in training texts."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), max_features=most, sublinear_tf=True, token_pattern=r"(?u)\w+", dtype=np.float32
    )
    try:
        return vectorizer.fit_transform(train), vectorizer.transform(test)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        return csr_matrix((len(train), 1), dtype=np.float32), csr_matrix((len(test), 1), dtype=np.float32)


def text_components(train: Sequence[str], test: Sequence[str], seed: int) -> tuple[Floats, Floats]:
    """At most 100 features of each text: latent semantic analysis (Deerwester et al. 1990) of its word weights."""
    from sklearn.decomposition import TruncatedSVD

    words, test_words = word_weights(train, test)
    count = min(TEXT_FEATURES, words.shape[1] - 1, words.shape[0] - 1)
    if count < 1 or not words.nnz:
        return words.toarray(), test_words.toarray()
    with quiet():
        reduced = TruncatedSVD(count, n_iter=3, random_state=seed)
        return reduced.fit_transform(words), reduced.transform(test_words)


def _texts(train: pa.Table, test: pa.Table, columns: Collection[str]) -> Iterator[tuple[list[str], list[str]]]:
    for name in (name for name in columns if is_text(train.schema.field(name).type)):
        yield _strings(train.column(name)), _strings(test.column(name))


def _strings(texts: pa.ChunkedArray) -> list[str]:
    return [text or "" for text in texts.to_pylist()]


def _reduced(train: list[str], test: list[str], seed: int) -> Features:
    found = text_components(train, test, seed)
    return Features(*found, [False] * found[0].shape[1])


def _plain(train: pa.Table, test: pa.Table, columns: Collection[str]) -> Iterator[Features]:
    """What each column becomes that is no text."""
    for name in columns:
        kind = train.schema.field(name).type
        if pa.types.is_dictionary(kind):
            codes = _codes(as_array(train.column(name)), as_array(test.column(name)))
            yield Features(*codes, [True])
        elif not is_text(kind):
            numbers = _numbers(train.column(name))
            yield Features(numbers, _numbers(test.column(name)), [False] * numbers.shape[1])


def _joined(parts: Sequence[Features]) -> Features:
    """The features side by side; a constant where there are none."""
    kept = [part for part in parts if part.categorical]
    if not kept:
        return Features(np.zeros((len(parts[0].train), 1)), np.zeros((len(parts[0].test), 1)), [False])
    train, test = np.concatenate([p.train for p in kept], axis=1), np.concatenate([p.test for p in kept], axis=1)
    return Features(train, test, [codes for part in kept for codes in part.categorical])


def _linear(part: Features) -> "tuple[csr_matrix, csr_matrix]":
    """Features as a linear model takes them."""
    from scipy.sparse import csr_matrix
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if any(part.categorical):
        model = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    else:
        model = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return csr_matrix(model.fit_transform(part.train)), csr_matrix(model.transform(part.test))


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers [N, F] of a column."""
    if pa.types.is_fixed_size_list(column.type):
        return np.asarray(as_array(column).flatten()).reshape(len(column), column.type.list_size)
    if pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        return _floats(as_array(column))[:, None]
    return np.stack(_calendar(as_array(column)), axis=1)


def _calendar(dates: pa.Array) -> list[Floats]:
    """Seconds since 1970, hour of the day with its fraction, weekday from Monday 0, day of the month, and month."""
    seconds = _floats(dates.cast(pa.timestamp("us", "UTC")).cast(pa.int64())) / 1e6
    return [seconds, seconds % 86400 / 3600, *(_floats(part(dates)) for part in (pc.day_of_week, pc.day, pc.month))]


def _floats(values: pa.Array) -> Floats:
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(train: pa.Array, test: pa.Array) -> tuple[Floats, Floats]:
    """Codes [N, 1] of categories."""
    text = train.cast(pa.string())
    counted = pc.value_counts(text.drop_null())
    order = np.argsort(-counted.field("counts").to_numpy(zero_copy_only=False), kind="stable")[:MOST_VALUES]
    vocabulary = counted.field("values").take(pa.array(order))
    found = (_floats(pc.index_in(values.cast(pa.string()), vocabulary))[:, None] for values in (train, test))
    return next(found), next(found)
