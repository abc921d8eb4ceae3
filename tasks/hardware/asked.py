"""What `perennial measure` is asked for, checked before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import InputError
from models.modelfile import read_model_file
from models.sections import Hardware
from tasks.hardware.points import Grid, ask_grid
from tasks.hardware.prices import Price, price_of

PRICES = Path(__file__).resolve().parents[2] / "infra" / "prices.toml"
"""Those that count without --prices; not there where perennial is installed without its checkout."""


@dataclass(frozen=True)
class Asked:
    """What was asked for, and found to be possible."""

    model: str
    """A name or URI."""
    limits: Hardware | None
    """Of the model file that was named; None for those that the version carries."""
    grid: Grid
    price: Price | None
    machine: str | None
    """Its name in the prices, which results go by."""
    output: Path | None
    """Folder for the report and the machine's results."""


def ask(
    model: str,
    provider: Sequence[str] = (),
    provider_option: Sequence[str] = (),
    precision: Sequence[str] = (),
    batch_rows: Sequence[int] = (),
    threads: Sequence[int] = (),
    optimization: Sequence[str] = (),
    rounds: int = 3,
    seconds: float = 0.5,
    prices: Path | None = None,
    machine: str | None = None,
    output: Path | None = None,
) -> Asked:
    """What is asked for. Raises InputError that lists every problem of the options, and for a bad file."""
    name, limits = name_of(model)
    grid = ask_grid(provider, provider_option, precision, batch_rows, threads, optimization, rounds, seconds)
    return Asked(name, limits, grid, _price(prices, machine), machine, output)


def name_of(model: str) -> tuple[str, Hardware | None]:
    """The name or URI that is meant, and the limits of the model file where that is named instead."""
    if not model.endswith(".toml"):
        return model, None
    model_file = read_model_file(Path(model))
    return model_file.name, model_file.hardware


def _price(prices: Path | None, machine: str | None) -> Price | None:
    if prices or PRICES.exists():
        return price_of(prices or PRICES, machine)
    if machine:
        raise InputError(f"--machine {machine}: needs a file of prices; give --prices FILE")
    return None
