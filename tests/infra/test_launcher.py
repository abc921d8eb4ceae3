"""The `perennial` command before it hands over: are `models`, `tasks` and `flows` ours?"""

import os
import subprocess
import sys
from pathlib import Path

import perennial
import pytest

from tests.small import ROOT


def launch(*words: str, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    code = "import sys; from perennial import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=path or ROOT, env=environment, capture_output=True, text=True
    )


def test_our_own_packages_are_accepted() -> None:
    done = launch("--help")
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


@pytest.mark.parametrize("name", ["models", "tasks", "flows"])
def test_another_package_of_that_name_is_noticed_and_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    done = launch("--help", path=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"'{name}'" in line and str(tmp_path / name) in line
    assert "Traceback" not in done.stderr


def test_a_module_of_that_name_is_noticed_too(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("")
    done = launch("--help", path=tmp_path)
    assert done.returncode == 2
    assert "'models'" in done.stderr


def test_the_right_packages_hand_over(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr("flows.cli.main", lambda: called.append("run"))
    monkeypatch.setattr(perennial, "_leave", lambda end: called.append(end.code))
    perennial.main()
    assert called == ["run", 0]


@pytest.mark.parametrize(("code", "status"), [(None, 0), (0, 0), (2, 2)])
def test_without_a_flow_the_process_ends_at_once_with_its_code(
    monkeypatch: pytest.MonkeyPatch, code: int | None, status: int
) -> None:
    left: list[int] = []
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    monkeypatch.setattr("os._exit", left.append)
    perennial._leave(SystemExit(code))
    assert left == [status]


@pytest.mark.parametrize("end", [SystemExit(1), SystemExit("some text")])
def test_with_a_flow_or_a_text_python_ends_as_usual(monkeypatch: pytest.MonkeyPatch, end: SystemExit) -> None:
    left: list[int] = []
    monkeypatch.setattr("os._exit", left.append)
    monkeypatch.setitem(sys.modules, "prefect", sys)
    with pytest.raises(SystemExit) as raised:
        perennial._leave(end)
    assert raised.value is end
    assert left == []


def test_an_intruder_ends_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(perennial, "_own_root", lambda: Path("/elsewhere"))
    with pytest.raises(SystemExit) as end:
        perennial.main()
    assert end.value.code == 2
    assert "Python imports the package 'models' from" in capsys.readouterr().err
