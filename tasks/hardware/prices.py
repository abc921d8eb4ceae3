"""What machines cost, as `infra/prices.toml` says, and what that makes of a million predictions."""

import tomllib
from math import floor, log10
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from models.errors import InputError
from models.problems import describe, near_match
from models.sections import Section

HOUR = 3600
MILLION = 1_000_000


class MachinePrice(Section):
    """One type of machine."""

    hourly: float = Field(ge=0, description="rent of an hour; of a machine of your own what it loses in value")
    watts: float = Field(0.0, ge=0, description="power under load, where electricity is paid on top")


class Prices(Section):
    """A prices file."""

    currency: str = Field(min_length=1, max_length=8)
    kwh: float = Field(0.0, ge=0, description="price of a kilowatt-hour")
    example: bool = Field(False, description="whether the numbers are nobody's, which is told beside every cost")
    default: str | None = Field(None, description="the machine that commands run on unless told otherwise")
    machines: dict[str, MachinePrice] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_default(self) -> "Prices":
        if self.default is not None and self.default not in self.machines:
            raise ValueError(f"default: no such machine{near_match(self.default, self.machines)}")
        return self


class Price(Section):
    """What the machine of a measurement costs."""

    machine: str
    currency: str
    hourly: float
    watts: float
    kwh: float
    example: bool = False
    """Whether the prices are those that come with Perennial, and nobody's."""

    @property
    def per_hour(self) -> float:
        """Rent and electricity of an hour under load."""
        return self.hourly + self.watts / 1000 * self.kwh

    def per_million(self, rows_per_second: float) -> float:
        """Of a million predictions at that speed, which keeps the machine busy."""
        return self.per_hour / HOUR * MILLION / rows_per_second


def show_cost(cost: float | None) -> str:
    """Money with three digits that count, however little it is."""
    if not cost:
        return "–" if cost is None else "0"
    return f"{cost:,.{max(0, 2 - floor(log10(cost)))}f}"


def read_prices(path: Path) -> Prices:
    """The prices in the file. Raises InputError that lists every problem."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such prices file; infra/prices.toml is an example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read: {str(error).splitlines()[0]}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML: {str(error).splitlines()[0]}") from None
    try:
        return Prices.model_validate(raw)
    except ValidationError as error:
        raise InputError(*(f"{path}: {problem.removeprefix(': ')}" for problem in describe(error, Prices))) from None


def price_of(path: Path, machine: str | None) -> Price | None:
    """The price of that machine, or of the file's default; None where neither is given.

    Raises InputError for a bad file and for a machine that is not in it.
    """
    prices = read_prices(path)
    name = machine or prices.default
    if name is None:
        return None
    if name not in prices.machines:
        raise InputError(f"{path}: no machine {name!r}{near_match(name, prices.machines)}")
    found = prices.machines[name]
    return Price(
        machine=name, currency=prices.currency, hourly=found.hourly, watts=found.watts, kwh=prices.kwh,
        example=prices.example,
    )  # fmt: skip
