"""One state folder, one Prefect server and one small trained model for the whole session."""

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from models.modelfile import ModelFile
from tasks.export.exported import Exported, Parity
from tasks.training.job import Job
from tests.shared import Databases, make_databases, once
from tests.small import table, write_model

pytest_plugins = ["tests.servers", "tests.lastwords"]

# Settings are read when MLflow, Prefect and torch are imported, so they come before any test module.
for _key in [key for key in os.environ if key.startswith(("MLFLOW_", "PREFECT_"))]:
    del os.environ[_key]
HOME = Path(tempfile.mkdtemp(prefix="perennial-tests-")).resolve()
os.environ |= {
    "PERENNIAL_HOME": str(HOME),
    "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "NO_COLOR": "1",
    # Otherwise its workers wait for all other tests.
    "RAY_worker_niceness": "0",
    "COLUMNS": "200",
}


# Libraries and test modules are never garbage: looking through them each time they grow takes seconds.
gc.disable()


def pytest_sessionstart() -> None:
    from flows.environment import prepare

    prepare()


def pytest_runtestloop() -> None:
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def home() -> Path:
    """The state folder of this session."""
    return HOME


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Empty ones, which a test may give to a state folder of its own."""
    return Databases(once(tmp_path_factory, "databases", make_databases))


@pytest.fixture(scope="session")
def server(home: Path, databases: Databases) -> Iterator[str]:
    """The address of a Prefect server that flows of this process, and commands that are told of it, run against."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing import utilities

    def with_database() -> str:
        folder = tempfile.mkdtemp()
        shutil.copyfile(databases.prefect, Path(folder) / "prefect-test.db")
        return folder

    databases.give(home)
    with pytest.MonkeyPatch.context() as patch:
        # Prefect's harness would make the tables in an empty folder, anew in each process.
        patch.setattr(utilities, "mkdtemp", with_database)
        with utilities.prefect_test_harness(server_startup_timeout=180):
            yield str(PREFECT_API_URL.value())


@dataclass(frozen=True)
class Small:
    """The small model after `train` and `promote`."""

    name: str
    file: Path
    run_id: str
    package: Path
    """A copy of the job's package from before it was registered."""
    downloaded: Path
    metrics: dict[str, float]


class Parts:
    """The costly parts of a training that each process of the session repeats: the first one makes them for all.

    They are the same in all, as promise 8 says: data, model file, code and seed are.
    """

    def __init__(self, once: Callable[[str, Callable[[Path], object]], Path]) -> None:
        self._once = once

    def exported(self, real: Callable[..., Exported], kept: Path) -> Callable[..., Exported]:
        """In place of `export_model`; what is exported is copied to `kept` too."""

        def export(*words: Any) -> Exported:
            def make(folder: Path) -> None:
                made = real(*words[:-1], folder / "package")
                (folder / "exported.json").write_text(json.dumps(asdict(made), default=str))

            found, folder = self._once("exported", make), words[-1]
            for place in (folder, kept):
                shutil.copytree(found / "package", place, dirs_exist_ok=True)
            told = json.loads((found / "exported.json").read_text())
            return Exported(folder, told["sha256"], told["size"], Parity(**told["parity"]))

        return export

    def judged(self, real: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
        """In place of `judge_graph`."""

        def judge(job: Job, *words: Any) -> dict[str, float]:
            def make(folder: Path) -> None:
                metrics = real(job, *words)
                shutil.copytree(job.results, folder / "results")
                (folder / "metrics.json").write_text(json.dumps(metrics))

            found = self._once("judged", make)
            shutil.copytree(found / "results", job.results, dirs_exist_ok=True)
            judged: dict[str, float] = json.loads((found / "metrics.json").read_text())
            return judged

        return judge


@pytest.fixture(scope="session")
def small(server: str, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Trained by the real flow, in this process; version 1 is champion. Tests must not change it."""
    from flows.promote import promote
    from flows.train import train
    from tasks.evaluation import judgement
    from tasks.export import export
    from tasks.registry.versions import download, find_version

    def write(folder: Path) -> None:
        write_model(folder, "small", rest="[promotion]\nmin_rows = 50\nresamples = 100\n")

    folder = tmp_path_factory.mktemp("small")
    file = once(tmp_path_factory, "small-file", write) / "small.toml"
    parts = Parts(lambda name, make: once(tmp_path_factory, f"small-{name}", make))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "export_model", parts.exported(export.export_model, folder / "package"))
        patch.setattr(judgement, "judge_graph", parts.judged(judgement.judge_graph))
        trained = train(file)
    assert promote("small").promoted
    downloaded = download(find_version("small", "1"), folder / "downloaded")
    return Small("small", file, trained.run_id, folder / "package", downloaded, trained.metrics)


@pytest.fixture
def no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings without baselines, intervals and plots, for tests that look at something else."""
    from tasks.evaluation import judgement

    def judged(job: Job, *_: object) -> dict[str, float]:
        job.results.mkdir(exist_ok=True)
        (job.results / "report.html").write_text("left out")
        return {"accuracy": 0.5}

    monkeypatch.setattr(judgement, "judge_graph", judged)


@pytest.fixture
def no_export(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of the small model's columns that register its graph, for tests that look at something else."""
    from tasks.export import export

    graph = (small.package / "model.onnx").read_bytes()
    monkeypatch.setattr(export, "export_graph", lambda *_: graph)
    monkeypatch.setattr(export, "check_parity", lambda *_: Parity(1, 0.0, 0))


Copy = Callable[..., ModelFile]


@pytest.fixture
def copy(small: Small, home: Path, tmp_path: Path) -> Copy:
    """A function that registers the small model again, under another name and with other sections of its model file."""
    from models.contract import read_contract, write_contract
    from models.modelfile import read_model_file
    from tasks.registry.runs import RunTitle, start_run
    from tasks.registry.versions import register

    def make(name: str, **changed: object) -> ModelFile:
        folder = tmp_path / f"copy-{name}"
        if not folder.exists():
            shutil.copytree(small.package, folder)
            acting = {"name": name, "actions": changed.get("actions", ())}
            write_contract(read_contract(folder).model_copy(update=acting), folder)
            snapshots = home / "snapshots"
            shutil.copytree(snapshots / small.name, snapshots / name, dirs_exist_ok=True)
        model_file = read_model_file(small.file).model_copy(update={"name": name, **changed})
        run_id = start_run(RunTitle(name, "copy", "train"), home)
        register(folder, model_file, run_id, {"parity": "1e-07"}, "a copy")
        return model_file

    return make


@pytest.fixture(scope="session")
def rows_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """New rows without their target; rows 3 and 7 can't be scored."""
    frame = table(200, seed=5).drop(columns="broken").astype(object)
    frame.loc[2, "load"] = "much"
    frame.loc[6, "load"] = 1000
    path = tmp_path_factory.mktemp("rows") / "new.csv"
    frame.to_csv(path, index=False)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that may take longest come first: what is left at the end is short, and shared well by all processes."""

    def patience(item: pytest.Item) -> float:
        marker = item.get_closest_marker("timeout")
        limit = float(marker.args[0]) if marker else float(item.config.getoption("timeout") or 0)
        return limit if item.get_closest_marker("slow") else 0.0

    items.sort(key=patience, reverse=True)
