"""The application in this process, asked without a network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from tasks.serving.app import make_app
from tasks.serving.asking import Observer
from tasks.serving.batcher import Batcher
from tasks.serving.beside.beside import Beside
from tasks.serving.limits import Limits
from tasks.serving.metrics import Metrics
from tasks.serving.models import Models
from tasks.serving.service import Service
from tasks.serving.wanted import Wanted, write_wanted


@contextmanager
def asking(
    scratch: Path,
    packages: dict[str, Path],
    limits: Limits | None = None,
    token: str | None = None,
    observers: Sequence[Observer] = (),
) -> Iterator[TestClient]:
    """A client of what serves the packages, each by its name; errors of the server are raised."""
    wanted, metrics = scratch / "wanted.json", scratch / "metrics"
    metrics.mkdir()
    (scratch / "endpoints").mkdir()
    write_wanted(wanted, {name: Wanted("1", str(folder), None) for name, folder in packages.items()})
    counts = Metrics(metrics)
    models = Models(wanted, lambda: Batcher(1024), lambda name, version: counts.untaken.labels(name, version).inc())
    models.take()
    beside = Beside(str(scratch / "endpoints"))
    service = Service(limits or Limits(), (*observers, *beside.observers))
    with TestClient(make_app(models, service, counts, token, beside)) as client:
        yield client
