"""The grid: which precisions and settings are measured, first all precisions, then settings around the best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from models.cores import usable_cores
from models.errors import InputError
from models.problems import near_match
from tasks.hardware.machine import present_providers, short
from tasks.hardware.precision import PRECISION_NAMES, PRECISIONS, Precision
from tasks.scoring.execution import CPU, LEVELS, Execution, ProviderError, provider_named

USUAL_BATCHES = (64, 512)
"""Rows of a batch that are tried beside the usual size."""


@dataclass(frozen=True)
class Point:
    """One way to run a version."""

    precision: Precision
    execution: Execution

    @property
    def name(self) -> str:
        """In words, on this machine."""
        return self.name_on(usable_cores())

    def name_on(self, cores: int) -> str:
        """In words, on a machine with so many cores."""
        run = self.execution
        batch = f"batches of {run.batch_rows}" if run.batch_rows else "usual batches"
        own = f", {run.intra_threads} threads within a batch" if run.intra_threads > 1 else ""
        at_once = f", {run.threads or cores} at once"
        level = f", optimisation {run.optimization}" if run.optimization != "all" else ""
        options = "".join(f", {key}={value}" for key, value in run.options.items())
        return f"{PRECISION_NAMES[self.precision]} on {short(run.provider)}: {batch}{at_once}{own}{level}{options}"


REFERENCE = Point("float32", Execution())
"""What all others are compared with: the version as it is scored before any measurement."""


@dataclass(frozen=True)
class Grid:
    """What is to be measured."""

    providers: tuple[str, ...]
    options: Mapping[str, str]
    """Of the providers, by their names."""
    precisions: tuple[Precision, ...]
    batches: tuple[int | None, ...]
    threads: tuple[int, ...]
    levels: tuple[str, ...]
    rounds: int
    seconds: float
    """Of a point in each round, for throughput and again for latency."""

    def first(self) -> list[Point]:
        """All precisions and sizes of batches on each provider; the reference before all others."""
        crossed = product(self.providers, self.precisions, self.batches)
        points = [Point(p, self._execution(provider, batch_rows=batch)) for provider, p, batch in crossed]
        return [REFERENCE, *(point for point in points if point != REFERENCE)]

    def around(self, best: Point) -> list[Point]:
        """Other numbers of threads and levels, with everything else as in the best point, which comes first."""
        here = best.execution
        threads = [replace(here, threads=None if count == usable_cores() else count) for count in self.threads]
        within = [replace(here, threads=1, intra_threads=count) for count in self.threads if count > 1]
        levels = [replace(here, optimization=level) for level in self.levels]
        found = [best, *(replace(best, execution=each) for each in (*threads, *within, *levels))]
        return [point for place, point in enumerate(found) if point not in found[:place]]

    def _execution(self, provider: str, batch_rows: int | None) -> Execution:
        return Execution(provider=provider, options=dict(self.options), batch_rows=batch_rows)


def ask_grid(
    providers: Sequence[str] = (),
    provider_options: Sequence[str] = (),
    precisions: Sequence[str] = (),
    batch_rows: Sequence[int] = (),
    threads: Sequence[int] = (),
    levels: Sequence[str] = (),
    rounds: int = 3,
    seconds: float = 0.5,
) -> Grid:
    """What is asked for, with defaults where nothing is. Raises InputError that lists every problem."""
    problems: list[str] = []
    found, options = list(_providers(providers, problems)), dict(_options(provider_options, problems))
    if options and len(found) != 1:
        problems.append("--provider-option: belongs to one provider; give one --provider")
    if options and found == [CPU]:
        problems.append(f"--provider-option {next(iter(options))}: {short(CPU)} takes none")
    problems += _unknown("--precision", precisions, PRECISIONS)
    problems += _unknown("--optimization", levels, list(LEVELS))
    for name, counts in (("--batch-rows", batch_rows), ("--threads", threads), ("--rounds", (rounds,))):
        problems += [f"{name} {count}: give 1 or more" for count in counts if count < 1]
    if not 0 < seconds <= 600:
        problems.append(f"--seconds {seconds:g}: give seconds above 0, at most 600")
    if problems:
        raise InputError(*problems)
    cores = usable_cores()
    return Grid(
        providers=tuple(dict.fromkeys(found)) or tuple(present_providers()),
        options=options,
        precisions=tuple(name for name in PRECISIONS if name in (precisions or PRECISIONS)),
        batches=(None, *dict.fromkeys(batch_rows or USUAL_BATCHES)),
        threads=tuple(dict.fromkeys(threads or sorted({1, max(1, cores // 2), cores}))),
        levels=tuple(dict.fromkeys(levels or ("basic", "extended", "all"))),
        rounds=rounds,
        seconds=seconds,
    )


def _providers(names: Sequence[str], problems: list[str]) -> Iterator[str]:
    for name in names:
        try:
            yield provider_named(name)
        except ProviderError as error:
            problems.append(str(error))


def _options(given: Sequence[str], problems: list[str]) -> Iterator[tuple[str, str]]:
    for pair in given:
        key, sign, value = pair.partition("=")
        if sign and key.strip():
            yield key.strip(), value.strip()
        else:
            problems.append(f"--provider-option {pair}: give KEY=VALUE")


def _unknown(option: str, given: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    return (f"{option} {name}: unknown{near_match(name, known)}" for name in given if name not in known)
