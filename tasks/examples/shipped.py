"""The table of shipped examples: a model file, a generator of its data, and the rows that its demo scores."""

import importlib
from dataclasses import dataclass
from pathlib import Path

from models.errors import InputError
from models.problems import near_match

REFUNDS = "http://127.0.0.1:8181/refunds"
"""As the shipped model files say; the service may be elsewhere."""
SPECS = Path(__file__).resolve().parents[2] / "models" / "specs"


@dataclass(frozen=True)
class Example:
    """One example; its data is made by the module `tasks.examples.<name>`."""

    name: str
    story: str
    scored: str
    """The file whose rows the demo scores, relative to the data."""
    acts: bool = False
    """Whether its actions call the service of `tasks.examples.refunds`."""

    @property
    def model_file(self) -> Path:
        """The model file as it is shipped."""
        return SPECS / f"{self.name}.toml"

    def make(self, folder: Path, model: str, service: str = REFUNDS) -> Path:
        """The model file beside its data in `folder`, for a model of that name that calls the service at an address."""
        importlib.import_module(f"tasks.examples.{self.name.replace('-', '_')}").make(folder)
        text = self.model_file.read_text(encoding="utf-8")
        path = folder / f"{model}.toml"
        text = text.replace(f'name = "{self.name}"', f'name = "{model}"', 1).replace(REFUNDS, service)
        path.write_text(text, encoding="utf-8")
        return path


EXAMPLES = {
    example.name: example
    for example in (
        Example("fruit-colour", "learns red from tomatoes, and knows a strawberry as red", "test.csv"),
        Example("digits", "scanned handwritten digits, real", "digits.csv"),
        Example("support-messages", "what a customer wants: words, an order and a mood", "live.csv", acts=True),
        Example("traffic-signs", "signs in other fonts, another red, dirt and dusk", "test.csv"),
        Example("machine-failure", "a fleet's telemetry, from plants with units of their own", "telemetry.parquet"),
        Example("machine-sound", "a bearing that begins to fail, heard before it is seen", "test.csv"),
        Example("remaining-life", "cycles left until an engine must be serviced", "test.parquet"),
    )
}


def find_example(name: str) -> Example:
    """The example of that name. Raises InputError that lists the others."""
    if name not in EXAMPLES:
        raise InputError(f"{name!r}: no such example{near_match(name, EXAMPLES)}")
    return EXAMPLES[name]
