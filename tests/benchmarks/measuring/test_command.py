from pathlib import Path

import pytest

from benchmarks import demo


def test_the_demo_is_measured_apart_from_the_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    environment = demo.own_environment(tmp_path)
    assert environment["PERENNIAL_HOME"] == str(tmp_path)
    assert not [name for name in environment if name.startswith(("PREFECT_", "MLFLOW_"))]
    assert "PATH" in environment
