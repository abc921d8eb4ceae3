"""What came from anywhere works in a process of its own, which ends where it takes too much, and with whoever asked."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models.errors import InputError, OutsideError
from models.modelfile import read_model_file
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.export.exported import Digests
from tasks.importing.confined import Limits, confined, unwatched
from tasks.importing.original import take_in
from tasks.importing.package import import_graph
from tests.small import ROOT
from tests.tasks.importing import work
from tests.tasks.importing.by_hand import endless, huge, spec_of

LIMITS = Limits(seconds=20, memory_gb=1.0)


def test_an_answer_and_what_is_raised_come_back() -> None:
    assert confined(work.add, "f", "while it adds", LIMITS, 2, more=3) == 5
    with pytest.raises(InputError) as caught:
        confined(work.refuse, "f", "while it adds", LIMITS)
    assert [*caught.value.problems] == ["one", "two"]
    with pytest.raises(ZeroDivisionError) as unplanned:
        confined(work.divide, "f", "while it adds", LIMITS)
    assert any("in divide" in note for note in unplanned.value.__notes__)
    with pytest.raises(RuntimeError, match="SystemExit: 0"):
        confined(work.leave, "f", "while it adds", LIMITS)


ENDS = {
    "crash": (signal.SIGSEGV, InputError, r"^f: while it ends, it crashes its process \(SIGSEGV\)$"),
    "killed": (signal.SIGKILL, OutsideError, r"^f: while it ends, its process was ended from outside \(SIGKILL\)"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_signal_is_one_plain_line(how: str) -> None:
    number, kind, said = ENDS[how]
    with pytest.raises(kind, match=said):
        confined(work.signal, "f", "while it ends", LIMITS, int(number))


def test_time_runs_from_the_last_sign_of_progress(tmp_path: Path) -> None:
    assert confined(work.steps, "f", "while it waits", Limits(3), 8, 0.5) == 8
    with pytest.raises(InputError, match=r"^f: while it waits, it gives no answer for 1 s; --timeout allows more$"):
        confined(work.with_child, "f", "while it waits", Limits(1), str(tmp_path / "pid"))
    assert _ends(int((tmp_path / "pid").read_text()))


def _ends(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("of", ["itself", "a process that it started"])
def test_memory_is_bounded(of: str) -> None:
    take = work.take if of == "itself" else work.let_take
    began = time.monotonic()
    with pytest.raises(InputError, match=r"^f: while it takes, it takes more than 0\.3 GB of memory; --memory-gb"):
        confined(take, "f", "while it takes", Limits(20, 0.3))
    assert time.monotonic() - began < 15


def test_it_ends_with_whoever_asked(tmp_path: Path) -> None:
    asks = (
        "import sys; from tasks.importing.confined import Limits, confined; "
        "from tests.tasks.importing import work; "
        "confined(work.with_child, 'f', 'while it waits', Limits(100), sys.argv[1])"
    )
    asker = subprocess.Popen([sys.executable, "-c", asks, str(tmp_path / "pid")], cwd=ROOT)
    while not (tmp_path / "pid").exists():
        assert asker.poll() is None
        time.sleep(0.05)
    (child,) = psutil.Process(asker.pid).children()
    asker.kill()
    asker.wait()
    assert _ends(child.pid) and _ends(int((tmp_path / "pid").read_text()))


GREEDY = {
    "a terabyte": (lambda: huge(10**12), r"the graph fails on rows of the data: .*[Aa]lloc"),
    "gigabytes": (lambda: huge(30_000_000), r"while it is tried, it takes more than 0\.5 GB of memory; --memory-gb"),
    "for ever": (endless, r"while it is tried, it gives no answer for 3 s; --timeout allows more"),
}


@pytest.mark.parametrize("what", GREEDY)
def test_a_graph_that_asks_for_too_much_is_one_plain_line(what: str, tmp_path: Path) -> None:
    make, said = GREEDY[what]
    path, spec = tmp_path / "given.onnx", spec_of(tmp_path)
    path.write_bytes(make().SerializeToString())
    settings, limits = read_model_file(spec), Limits(3 if what == "for ever" else 60, 0.5)
    snapshot = open_snapshot(ingest(settings, tmp_path / "state").manifest)
    split, digests = fit_split(settings, snapshot), Digests("data", settings.digest(), "code")
    original = take_in(unwatched, path, settings, spec, False, tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        confined(
            import_graph, str(path), "while it is tried", limits, original, settings, snapshot, split, digests,
            tmp_path / "package",
        )  # fmt: skip
    assert len(caught.value.problems) == 1 and "given.onnx" in str(caught.value)
