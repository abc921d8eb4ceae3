"""What `perennial measure` is asked for, checked before anything starts."""

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
class Options:
    """What a measurement is asked besides the model, as the command and its flow take it."""

    provider: tuple[str, ...] = ()
    """Execution providers of ONNX Runtime, such as cuda; all that are present if none is given."""
    provider_option: tuple[str, ...] = ()
    """KEY=VALUE for the one provider that is given."""
    precision: tuple[str, ...] = ()
    """float32, float16, int8-dynamic, int8-tensor, int8-channel; all if none is given."""
    batch_rows: tuple[int, ...] = ()
    """Sizes of batches beside the usual one; 64 and 512 if none is given."""
    threads: tuple[int, ...] = ()
    """Numbers of threads; one, half of the cores and all of them if none is given."""
    optimization: tuple[str, ...] = ()
    """Levels of graph optimisation: none, basic, extended, all; the last three if none is given."""
    rounds: int = 3
    """How often each point is measured, in turns."""
    seconds: float = 0.5
    """Of each round of a point for throughput, and as many again for latency."""
    prices: Path | None = None
    """A file of hourly prices and power; infra/prices.toml if not given."""
    machine: str | None = None
    """The entry of that file which this machine is; its default if not given."""
    output: Path | None = None
    """Folder for hardware.html and the results as JSON; in the state folder if not given."""


USUAL = Options()


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


def ask(model: str, options: Options = USUAL) -> Asked:
    """What is asked for. Raises InputError that lists every problem of the options, and for a bad file."""
    name, limits = name_of(model)
    grid = ask_grid(
        options.provider, options.provider_option, options.precision, options.batch_rows, options.threads,
        options.optimization, options.rounds, options.seconds,
    )  # fmt: skip
    return Asked(name, limits, grid, _price(options.prices, options.machine), options.machine, options.output)


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
