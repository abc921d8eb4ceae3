from pathlib import Path

import pytest

from benchmarks.measuring.command import own_environment


def test_commands_are_measured_apart_from_the_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    environment = own_environment(tmp_path)
    assert environment["PERENNIAL_HOME"] == str(tmp_path)
    assert not [name for name in environment if name.startswith(("PREFECT_", "MLFLOW_"))]
    assert "PATH" in environment
