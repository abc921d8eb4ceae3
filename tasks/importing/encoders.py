"""What the encoders of a fitted pipeline of scikit-learn know of its columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.columns.cells import canonical_word

MISSING = "nan"
"""What skl2onnx makes of a missing value among the categories of an encoder."""


def first_of(pipeline: Any) -> Any:
    """The step that gets the columns."""
    return pipeline.steps[0][1] if hasattr(pipeline, "steps") else pipeline


def names_of(pipeline: Any) -> list[str] | None:
    """Names of the columns that the pipeline takes, without those that its first step drops; None where it has none."""
    names = getattr(pipeline, "feature_names_in_", None)
    if names is None:
        return None
    taken: set[str] = set()
    for _, columns in _parts(pipeline):
        if columns is None:
            return list(names)
        taken.update(columns)
    return [name for name in names if name in taken]


def categories_of(pipeline: Any) -> dict[str, list[Any]]:
    """The values that encoders have learnt, by the names of their columns."""
    found: dict[str, list[Any]] = {}
    for made, columns in _parts(pipeline):
        steps = [step for _, step in getattr(made, "steps", [("", made)])]
        learnt = next((step.categories_ for step in steps if hasattr(step, "categories_")), ())
        if columns is not None and len(columns) == len(learnt):
            found |= {name: list(values) for name, values in zip(columns, learnt, strict=True)}
    return found


def _parts(pipeline: Any) -> Iterator[tuple[Any, Sequence[str] | None]]:
    """What is made of which columns, those that are dropped aside; None for columns that are not named."""
    named = list(getattr(pipeline, "feature_names_in_", ()))
    for _, made, columns in getattr(first_of(pipeline), "transformers_", [("", first_of(pipeline), named)]):
        if isinstance(made, str) and made == "drop":
            continue
        listed = [columns] if isinstance(columns, str) else columns
        known = not isinstance(listed, slice) and all(isinstance(column, str) for column in listed)
        yield made, (list(listed) if known else None)


def is_missing(value: Any) -> bool:
    """Whether a category stands for a missing value: not a number, which differs from itself."""
    return bool(value != value)


def own_values(categories: Sequence[Any]) -> Mapping[str, Any]:
    """Categories by the words of a model file's column: whole numbers and truth values are others to a pipeline."""
    plain = [value.item() if hasattr(value, "item") else value for value in categories]
    return {canonical_word(value): value for value in plain if isinstance(value, bool | int | float | str)}
