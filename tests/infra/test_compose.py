"""The compose file and the images: what can be said of them without an engine."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import Small
from tests.small import ROOT

INFRA = ROOT / "infra"
FILE = INFRA / "compose.yaml"
EXAMPLE = INFRA / "production.env.example"
SECRET = re.compile("PASSWORD|SECRET|_KEY$")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def compose() -> list[str]:
    """Compose as a plugin of docker or by itself; skips where there is none."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and subprocess.run([*words, "version"], capture_output=True).returncode == 0:
            return words
    pytest.skip("neither `docker compose` nor docker-compose is installed")


def configured(settings: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "production.env").write_text(settings)
    words = [*compose(), "--env-file", str(tmp_path / "production.env"), "--file", str(FILE), "config"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    return subprocess.run(words, capture_output=True, text=True, env=environment)


def test_compose_accepts_the_file_and_fills_in_the_secrets(tmp_path: Path) -> None:
    settings = subprocess.run([INFRA / "bin" / "secrets"], capture_output=True, text=True, check=True).stdout
    done = configured(settings, tmp_path)
    assert done.returncode == 0, done.stderr
    (secret,) = re.findall(r"^PREFECT_PASSWORD=(\w+)$", settings, re.MULTILINE)
    filled = yaml.safe_load(done.stdout)["services"]
    assert [name for name, service in filled.items() if secret in str(service)] == ["prefect", "worker"]


@pytest.mark.parametrize("name", re.findall(r"^(\w+)=$", EXAMPLE.read_text(), re.MULTILINE))
def test_compose_starts_nothing_without_a_secret(name: str, tmp_path: Path) -> None:
    done = configured(EXAMPLE.read_text().replace("=\n", "=x\n").replace(f"{name}=x\n", f"{name}=\n"), tmp_path)
    assert done.returncode != 0
    assert name in done.stderr and "is missing in production.env" in done.stderr


def test_each_service_is_watched_and_bounded(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name
        assert "no-new-privileges:true" in service["security_opt"], name
        if service["restart"] == "no":
            assert "healthcheck" not in service, f"{name} ends by itself"
        else:
            assert service["healthcheck"]["test"][0] == "CMD", name
    assert [name for name, service in services.items() if service["restart"] == "no"] == ["databases"]


def test_images_of_others_are_pinned_and_ports_are_open_to_this_machine_alone(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        own = service["image"].startswith("perennial")
        assert own == ("build" in service), name
        assert own or re.search(r":v?\d+\.\d+", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_there_is_no_secret_and_no_default_of_one(services: dict[str, dict[str, Any]]) -> None:
    settings = [(key, value) for service in services.values() for key, value in service["environment"].items()]
    secrets = [(key, value) for key, value in settings if SECRET.search(key)]
    assert len(secrets) > 10
    assert [
        pair for pair in secrets if not re.fullmatch(r"\$\{[A-Z_]+:\?is missing in production\.env\}", pair[1])
    ] == []


def test_each_variable_is_in_the_example(services: dict[str, dict[str, Any]]) -> None:
    documented = set(re.findall(r"^(\w+)=", EXAMPLE.read_text(), re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text()))
    assert used - documented == {"PERENNIAL_IMAGE_TAG", "SERVED_MODEL", "SERVING_PORT"}, "these have a default"
    scripts = "".join(path.read_text() for path in (INFRA / "bin").iterdir())
    asked = set(re.findall(r"\$\{(\w+):\?", scripts))
    assert {name for name in asked if name.isupper()} <= documented


def needed(script: str) -> set[str]:
    """Settings that a script of infra/bin insists on, or hands on to those it calls."""
    text = (INFRA / "bin" / script).read_text()
    called = [name for name in re.findall(r"/(as-\w+)", text) if name != script]
    own = {name for name in re.findall(r"\$\{(\w+):\?", text) if name.isupper()}
    set_here = set(re.findall(r"export (\w+)=", text))
    return own | (set().union(*map(needed, called)) - set_here if called else set())


def test_each_service_gets_what_its_script_needs(services: dict[str, dict[str, Any]]) -> None:
    commands = {name: service.get("command", [""])[0] for name, service in services.items()}
    scripts = {name: Path(command).name for name, command in commands.items() if command.startswith("infra/bin")}
    assert set(scripts) == {"databases", "mlflow", "prefect", "worker"}
    for name, script in scripts.items():
        assert needed(script) - set(services[name]["environment"]) == set(), name


def test_a_worker_knows_no_database_and_no_store(services: dict[str, dict[str, Any]]) -> None:
    known = set(services["worker"]["environment"])
    assert known & {"POSTGRES_PASSWORD", "MLFLOW_DB_PASSWORD", "PREFECT_DB_PASSWORD", "ARTIFACT_SECRET_KEY"} == set()


STAGES = re.findall(
    r"^FROM (\S+) AS (\S+)$(.*?)(?=^FROM|\Z)", (INFRA / "Dockerfile").read_text(), re.DOTALL | re.MULTILINE
)


def test_the_images_do_not_run_as_root_and_the_last_one_is_the_default() -> None:
    stages = {name: (base, text) for base, name, text in STAGES}
    assert STAGES[-1][1] == "worker"
    for name in ("serving", "worker"):
        assert re.findall(r"^USER (\S+)$", stages[name][1], re.MULTILINE) == ["10001"]
        assert re.findall(r"--from=(\S+)", stages[name][1]) == [f"{name}-packages"] * 2
    assert [base for base, _, _ in STAGES if base not in stages] == ["python:3.11.15-slim-trixie", "scratch"]


def test_what_the_images_copy_is_there_and_let_through() -> None:
    copied = [
        words.split()[:-1]
        for words in re.findall(r"^COPY (?!--)(.*)$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    ]
    let_through = re.findall(r"^!(\S+)$", (INFRA / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    for path in {path for words in copied for path in words}:
        assert (ROOT / path).exists() and path.partition("/")[0] in let_through, path


def wanted(image: str) -> list[str]:
    words = [sys.executable, INFRA / "packages.py", image]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def closure(requirements: list[str]) -> set[str]:
    """Names of all distributions that come with these."""
    found: set[str] = set()
    left = [Requirement(line) for line in requirements]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        extras = (*requirement.extras, "")
        more = [Requirement(line) for line in requires(name) or []]
        left += [r for r in more if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]
    return found


def test_the_images_take_all_versions_from_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {canonicalize_name(line.partition("==")[0]) for line in lock if "==" in line}
    for image in ("serving", "worker"):
        assert closure(wanted(image)) - locked == set()
    assert "torch" in closure(wanted("worker"))
    assert closure(wanted("serving")) & {"torch", "onnxscript", "pytest", "ray", "moto"} == set()


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}: it is not in the image", name=name)
sys.meta_path.insert(0, Absent())
"""


def without(image: str) -> str:
    """A line that hides from Python what the image does not have."""
    there = closure(wanted(image))
    own = {"models", "tasks", "flows", "perennial"}
    hidden = [
        module
        for module, owners in packages_distributions().items()
        if module not in own and not {canonicalize_name(owner) for owner in owners} & there
    ]
    assert "torch" in hidden and "onnxruntime" not in hidden
    return f"ABSENT = {set(hidden)!r}\n{ABSENT}"


def test_what_the_serving_image_has_is_enough_to_score(small: Small, rows_csv: Path) -> None:
    program = (
        f"{without('serving')}\n"
        "import mlflow, pandas as pd, flows.score, flows.monitor, tasks.serving.worker, tasks.serving.server\n"
        "from perennial import Predictor\n"
        f"frame = pd.read_csv({str(rows_csv)!r}).drop([2, 6]).astype({{'load': float}})\n"
        f"print(mlflow.pyfunc.load_model({str(small.downloaded)!r}).predict(frame).shape)\n"
        "row = frame.iloc[:1].astype(object).where(frame.iloc[:1].notna(), None).to_dict('records')\n"
        f"print(len(Predictor.load({str(small.downloaded)!r}).predict(row)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-2:] == ["(198, 4)", "1"]
