"""The profile: the JSON beside the contract that says how the training rows and the predictions were distributed."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.sections import Section
from models.versioned import read_versioned

FORMAT_VERSION = 1
PROFILE_FILE = "profile.json"
MISSING, UNSEEN = "missing", "unseen"
"""Names of the shares of rows without a value, and with one that training did not know."""


class Bins(Section):
    """Numbers, counted between edges."""

    form: Literal["bins"] = "bins"
    edges: tuple[float, ...] = ()
    """Strictly increasing; bin i holds what is above edge i - 1 and at most edge i, the outer two have no end."""
    counts: tuple[int, ...]
    """One more than edges."""
    low: float | None = None
    high: float | None = None
    """Smallest and largest number; None of none, as is the mean."""
    mean: float | None = None
    judged: bool = True
    """Whether another distribution is drift; not so of dates, which move on by nature."""

    @model_validator(mode="after")
    def _fitting(self) -> "Bins":
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges make no {len(self.counts)} bins")
        return self

    @property
    def cells(self) -> tuple[int, ...]:
        """How many rows are in each bin."""
        return self.counts


class Names(Section):
    """Values by name, the most frequent of the training rows and all others together."""

    form: Literal["names"] = "names"
    names: tuple[str, ...]
    """Hashes where the column is sensitive."""
    counts: tuple[int, ...]
    rest: int = 0
    """Rows with another value."""

    @model_validator(mode="after")
    def _fitting(self) -> "Names":
        if len(self.counts) != len(self.names):
            raise ValueError(f"{len(self.names)} names can't have {len(self.counts)} counts")
        return self

    @property
    def cells(self) -> tuple[int, ...]:
        """How many rows have each of the names, and how many another value."""
        return (*self.counts, self.rest)


class Rate(Section):
    """How many of the rows something holds for."""

    form: Literal["rate"] = "rate"
    count: int
    rows: int

    @property
    def share(self) -> float:
        """Of the rows, 0 of none."""
        return self.count / self.rows if self.rows else 0.0


Facet = Annotated[Bins | Names | Rate, Field(discriminator="form")]
"""One side of a column that has a distribution, such as the length of texts."""


class ColumnProfile(Section):
    """What is known of one column, or of the predictions, by the names of its facets."""

    kind: str
    facets: dict[str, Facet]


class Profile(Section):
    """How the columns of some rows, and the predictions for them, are distributed."""

    format_version: int = FORMAT_VERSION
    rows: int
    """Those whose columns are counted; what only unseen rows can tell, such as predictions, is of the test rows."""
    rejected: Rate
    overlap: int = Field(1, ge=1)
    """Neighbouring rows that share values, as windows of series do: tests take so many for one."""
    columns: dict[str, ColumnProfile]
    predictions: ColumnProfile


def write_profile(profile: Profile, folder: Path) -> Path:
    """The profile as JSON in `folder`."""
    path = folder / PROFILE_FILE
    path.write_text(json.dumps(profile.model_dump(mode="json"), ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_profile(folder: Path) -> Profile | None:
    """The profile in `folder`, None where there is none. Raises InputError when it is damaged or of a later format."""
    try:
        return read_versioned(Profile, folder / PROFILE_FILE, FORMAT_VERSION, "profile")
    except FileNotFoundError:
        return None
