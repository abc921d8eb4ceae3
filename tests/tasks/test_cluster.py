"""Ray is started quietly and small, ends with its block, and a cluster of others stays."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from models.errors import InputError, OutsideError
from tasks import cluster
from tasks.cluster import connected, cores_each, require_ray
from tests.small import ROOT

OTHERS = """
import ray
ray.init(address="local", num_cpus=3, include_dashboard=False, logging_level="CRITICAL")
print(ray.get_runtime_context().gcs_address, flush=True)
input()
print(len(ray.nodes()), flush=True)
"""


def ray_processes() -> set[int]:
    """Ray's processes beneath this one."""
    return {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE and "ray" in " ".join(process.cmdline()[:3])
    }


def folders() -> set[Path]:
    """Those that this process has made."""
    return set(Path(tempfile.gettempdir()).glob(f"perennial-ray-*.{os.getpid()}.*"))


def test_without_ray_one_line_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for used in (require_ray, lambda: connected(None, 2).__enter__()):
        with pytest.raises(InputError, match=r"^--engine ray needs Ray: pip install -r requirements-ray\.lock$"):
            used()


def test_what_a_killed_process_left_is_removed_and_what_others_use_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LONGEST_FOLDER", 1000)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with cluster._folder() as used:
        own = used.name.split(".")
        assert own[1] == str(os.getpid())
        assert len(used.name) - len(own[1]) + len(str(2**22)) == 33
    dead, living, elsewhere, unlike = (
        tmp_path / name
        for name in (
            f"{own[0]}.{ended.pid}.abcd",
            f"{own[0]}.{os.getppid()}.abcd",
            f"perennial-ray-000000.{ended.pid}.abcd",
            "perennial-ray-x1y2z3w4",
        )
    )
    for folder in (dead, living, elsewhere, unlike):
        (folder / "session_latest").mkdir(parents=True)
    with cluster._folder() as first, cluster._folder() as second:
        assert set(tmp_path.iterdir()) == {first, second, living, elsewhere, unlike}
    assert set(tmp_path.iterdir()) == {living, elsewhere, unlike}


@pytest.mark.slow
def test_our_own_ray_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    ray = pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    with connected(None, 5):
        assert ray_processes() and len(folders()) == 1
        assert cores_each(5) >= 1
        with pytest.raises(InputError, match=r"--workers 1000: the Ray cluster has \d+ cores; give fewer workers"):
            cores_each(1000)
        with connected(None, 5):
            pass
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert not ray_processes()
    assert not folders()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_cluster_at_an_address_is_used_and_left_running() -> None:
    ray = pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    others = subprocess.Popen(
        [sys.executable, "-c", OTHERS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert others.stdout and others.stdin
    with connected(others.stdout.readline().strip(), 2):
        assert (cores_each(3), cores_each(1)) == (1, 3)
        quiet = ray.remote(num_cpus=0)(lambda: __import__("os").environ["RAY_USAGE_STATS_ENABLED"])
        assert ray.get(quiet.remote()) == "0"
    assert not ray.is_initialized()
    out, _ = others.communicate("\n", timeout=60)
    assert (others.returncode, out.strip()) == (0, "1")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_an_address_where_nothing_answers_is_one_plain_line(address: str) -> None:
    pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    with pytest.raises(OutsideError, match=rf"^Ray at {address} can't be reached \(.+\); give HOST:PORT of its head$"):
        connected(address, 2).__enter__()
