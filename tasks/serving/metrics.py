"""Counts and times in Prometheus's format, summed over the worker processes."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tasks.scoring.rows import Finding
from tasks.serving.asking import Answered, Asked
from tasks.serving.served import Served

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Seconds."""
FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Of one server; each of its processes has one such object, on the folder of all of them.

    The library keeps one folder for a process: a second object counts into the first one's.
    """

    def __init__(self, folder: Path) -> None:
        # Read when the library is loaded.
        os.environ[FOLDER] = str(folder)
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = CollectorRegistry()
        requests = Counter(
            "perennial_requests_total", "Requests answered.", ("model", "version", "status"), registry=registry
        )
        seconds = Histogram(
            "perennial_request_seconds", "Seconds to answer a request.", ("model",), buckets=BUCKETS, registry=registry
        )
        rows = Counter("perennial_rows_total", "Rows scored.", ("model", "version"), registry=registry)
        rejected = Counter("perennial_rejected_rows_total", "Rows refused.", ("model", "version"), registry=registry)
        self.untaken = Counter(
            "perennial_untaken_versions_total",
            "Versions that could not be loaded.",
            ("model", "version"),
            registry=registry,
        )
        self.progress = Gauge(
            "perennial_requests_in_progress", "Requests in progress.", multiprocess_mode="livesum", registry=registry
        )
        self.damaged = Gauge(
            "perennial_damaged_files",
            "Files of live decisions that could not be read, and were set aside.",
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        # Looking up what belongs to labels takes longer than counting.
        self._requests_of = cache(lambda model, version, status: requests.labels(model, version, str(status)))
        self._rows_of = cache(rows.labels)
        self._rejected_of = cache(rejected.labels)
        self._seconds_of = cache(lambda model: seconds.labels(model))

    async def answered(self, answered: Answered) -> None:
        """Rows that were scored."""
        self._rows_of(answered.served.name, answered.served.version).inc(len(answered.asked.rows))

    def refused(self, served: Served, asked: Asked, findings: Sequence[Finding]) -> None:
        """Rows that could not be scored, with those that came with them."""
        self._rejected_of(served.name, served.version).inc(len(asked.rows))

    def count(self, model: str, version: str, status: int, seconds: float) -> None:
        """One answered request."""
        self._requests_of(model, version, status).inc()
        self._seconds_of(model).observe(seconds)

    def text(self) -> bytes:
        """All of it, of all processes."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
