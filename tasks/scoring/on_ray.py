"""Workers of a scoring run that Ray starts: each span is a Prefect task, which prefect-ray hands to Ray."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from signal import SIGINT, SIGTERM
from typing import Any, TypeAlias
from uuid import UUID

from models.errors import OutsideError, PerennialError, UnreachableError
from tasks.cluster import connected
from tasks.scoring.shards import Span
from tasks.scoring.work import Done, Work

LOOK_SECONDS = 3.0
"""That spans are waited for at a time."""
UNLIKE = ("ModuleNotFoundError", "ImportError", "AttributeError")
"""Errors of a process that lacks what this one has."""
OnLost: TypeAlias = Callable[[Sequence[UUID], str], None]
"""Is told Prefect task runs whose processes are gone, and why."""
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
def ray_crew(address: str | None, task: Any, on_lost: OnLost) -> Iterator["RayCrew"]:
    """Workers on a Ray cluster at an address, or of our own on this machine, for as long as the block runs.

    `task` is a Prefect task that takes `work`, a `Kept`, and `span`; `on_lost` is told of its runs that end without a
    word. Raises InputError where Ray is not installed, OutsideError when it does not answer.
    """
    with connected(address, 1):
        from prefect_ray import RayTaskRunner
        from prefect_ray.context import remote_options

        with RayTaskRunner() as runner, remote_options(**EACH):
            crew = RayCrew(runner, task, on_lost)
            try:
                yield crew
            finally:
                crew.stop()


class RayCrew:
    """Spans under way on Ray."""

    def __init__(self, runner: Any, task: Any, on_lost: OnLost) -> None:
        import ray

        own = {ray.util.get_node_ip_address(), "127.0.0.1"}
        self.elsewhere = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]} - own
        self._runner, self._task, self._on_lost = runner, task, on_lost
        self._under_way: dict[Any, tuple[Span, Any]] = {}
        self._work: Kept | None = None

    @property
    def room(self) -> int:
        """Twice the cores that the cluster has now."""
        import ray

        return 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))

    def start(self, work: Work) -> None:
        """Tells all workers what they work on."""
        self._work = Kept(work)

    def begin(self, span: Span) -> None:
        """Hands a span to the next worker that is free."""
        with _uninterrupted():
            future = self._runner.submit(self._task, {"work": self._work, "span": span})
        self._under_way[future.wrapped_future] = span, future

    def ended(self) -> list[tuple[Span, Done | UnreachableError]]:
        """Spans that have ended; after some seconds none. Raises the other errors of workers."""
        import ray

        ray.wait(list(self._under_way), timeout=LOOK_SECONDS)
        ready, _ = ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        return [(span, self._result(future)) for span, future in map(self._under_way.pop, ready)]

    def stop(self) -> None:
        """Nobody works any more."""
        import ray

        for ref in self._under_way:
            ray.cancel(ref, force=True)
        if self._under_way:
            self._on_lost([future.task_run_id for _, future in self._under_way.values()], "the run has ended before")
        self._under_way.clear()

    def _result(self, future: Any) -> Done | UnreachableError:
        import ray

        try:
            result = future.result(raise_on_failure=False)
        except ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
            last = lines[-1] if lines else repr(error)
            if last.startswith(UNLIKE):
                raise OutsideError(
                    f"a worker on Ray is made of other code ({last}); install this release, with its requirements, on "
                    "all machines of the cluster"
                ) from None
            why = f"a worker on Ray has ended before its work ({last})"
            self._on_lost([future.task_run_id], why)
            return UnreachableError(f"{why}; the same command goes on with what is missing")
        if isinstance(result, Done | UnreachableError):
            return result
        raise result if isinstance(result, BaseException) else PerennialError(f"a worker on Ray returned {result!r}")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals come after the block: what pydantic serialises there would turn their errors into others."""
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (SIGINT, SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for each in came:
        signal.raise_signal(each)
