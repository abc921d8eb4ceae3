"""Workers of a scoring run that Ray starts: each span is a Prefect task, which prefect-ray hands to Ray."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from models.errors import PerennialError, UnreachableError
from tasks.cluster import connected
from tasks.scoring.shards import Span
from tasks.scoring.work import Done, Work

LOOK_SECONDS = 1.0
"""Between two looks at whether something else has happened, such as an interrupt."""
EACH = {"num_cpus": 1, "max_retries": 0}
"""A span for each core; those of a worker that died are begun again by us, who know what it had done."""


class Kept:
    """What lies in the cluster once, and that each process of it looks at once."""

    def __init__(self, work: Work) -> None:
        import ray

        self._ref = ray.put(work)

    def get(self) -> Work:
        """The same object in all calls of a process."""
        return _got(self._ref)


@lru_cache(maxsize=1)
def _got(ref: Any) -> Work:
    import ray

    work: Work = ray.get(ref)
    return work


@contextmanager
def ray_crew(address: str | None, task: Any) -> Iterator["RayCrew"]:
    """Workers on a Ray cluster at an address, or of our own on this machine, for as long as the block runs.

    `task` is a Prefect task that takes `work`, a `Kept`, and `span`. Raises InputError where Ray is not installed,
    OutsideError when it does not answer.
    """
    with connected(address, 1):
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options

        with RayTaskRunner() as runner, remote_options(**EACH):
            crew = RayCrew(runner, task)
            try:
                yield crew
            finally:
                crew.stop()


class RayCrew:
    """Spans under way on Ray."""

    def __init__(self, runner: Any, task: Any) -> None:
        import ray

        self.room = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._runner, self._task = runner, task
        self._under_way: dict[Any, tuple[Span, Any]] = {}
        self._work: Kept | None = None

    def start(self, work: Work) -> None:
        """Tells all workers what they work on."""
        self._work = Kept(work)

    def begin(self, span: Span) -> None:
        """Hands a span to the next worker that is free."""
        future = self._runner.submit(self._task, {"work": self._work, "span": span})
        self._under_way[future.wrapped_future] = span, future

    def ended(self) -> list[tuple[Span, Done | UnreachableError]]:
        """Waits until spans have ended; raises the other errors of workers."""
        import ray

        ready: list[Any] = []
        while not ready:
            ray.wait(list(self._under_way), timeout=LOOK_SECONDS)
            ready, _ = ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        return [(span, _result(future)) for span, future in map(self._under_way.pop, ready)]

    def stop(self) -> None:
        """Nobody works any more."""
        import ray

        for ref in self._under_way:
            ray.cancel(ref, force=True)
        self._under_way.clear()


def _result(future: Any) -> Done | UnreachableError:
    import ray

    try:
        result = future.result(raise_on_failure=False)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
        return UnreachableError(f"a worker on Ray has ended before its work ({lines[0] if lines else error!r})")
    if isinstance(result, Done | UnreachableError):
        return result
    raise result if isinstance(result, BaseException) else PerennialError(f"a worker on Ray has returned {result!r}")
