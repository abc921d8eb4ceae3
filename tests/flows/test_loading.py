import subprocess
import sys

from flows.loading import watched

HEAVY = ("sklearn", "torch", "matplotlib")


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_nobody_waits_for_what_only_training_and_judging_need() -> None:
    """Neither scoring nor a retraining that finds nothing to do."""
    program = f"""
import sys, flows.score
print([m for m in {HEAVY} if m in sys.modules])
import flows.retrain
print([m for m in ("torch", "matplotlib") if m in sys.modules])
from flows.train import preload
preload()
print([m for m in {HEAVY} if m in sys.modules])
"""
    assert run(program).splitlines() == ["[]", "[]", str(list(HEAVY))]


def test_the_collector_is_off_in_the_first_block_alone_and_on_after_it() -> None:
    program = """
import gc
from flows.loading import loading
seen = []
for _ in range(2):
    with loading():
        seen.append(gc.isenabled())
        frozen = gc.get_freeze_count()
    seen.append(gc.isenabled())
print(seen, frozen > 0)
"""
    assert run(program) == "[False, True, True, True] True"


def test_a_watched_flow_has_no_heartbeat_and_others_keep_theirs() -> None:
    from prefect.settings import get_current_settings

    def frequency(of: str) -> tuple[str, int | None]:
        return of, get_current_settings().flows.heartbeat_frequency

    assert watched(frequency)("by hand") == ("by hand", None)
    assert frequency("by a worker") == ("by a worker", 180)
