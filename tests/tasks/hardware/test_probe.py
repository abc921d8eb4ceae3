"""Peak memory, also where the system has no /proc."""

from pathlib import Path

import psutil
import pytest

from tasks.hardware.probe import peak_mb


def test_peak_memory_is_that_of_the_kernel(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t  1000 kB\nVmRSS:\t  10 kB\n")
    assert peak_mb(status) == pytest.approx(1.024)
    assert peak_mb() > 20


@pytest.mark.parametrize("text", [None, "Name:\tpython\n"])
def test_without_it_psutil_is_asked(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "status").write_text(text)
    resident = psutil.Process().memory_info().rss / 1e6
    assert peak_mb(tmp_path / "status") == pytest.approx(resident, rel=0.5)
