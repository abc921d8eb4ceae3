import ast
import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import OutsideError
from models.modelfile import ModelFile, read_model_file
from tasks.training import job as job_module
from tasks.training.engine import Engine
from tasks.training.job import Job, Start, alone, code_digest, git_commit
from tests.small import write_model


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    return read_model_file(write_model(tmp_path, "job"))


@pytest.fixture
def job(model_file: ModelFile, tmp_path: Path) -> Job:
    return Job(model_file, tmp_path, tmp_path / "manifest.json", "data", "code")


def test_a_job_is_named_by_data_model_file_and_code(job: Job, model_file: ModelFile, tmp_path: Path) -> None:
    def digest(data: str = "data", file: ModelFile = model_file, code: str = "code") -> str:
        return Job(file, tmp_path / "elsewhere", tmp_path, data, code).digest

    assert digest() == job.digest
    other = model_file.model_copy(update={"training": model_file.training.model_copy(update={"seed": 1})})
    assert len({digest(), digest(data="other"), digest(code="other"), digest(file=other)}) == 4
    assert job.folder == tmp_path / "training" / "job" / job.digest[:16]


def test_another_number_of_workers_is_another_job_wherever_they_run(job: Job) -> None:
    def folder(engine: Engine) -> Path:
        return replace(job, engine=engine).folder

    assert folder(Engine("ray", 2)) not in (job.folder, folder(Engine("ray", 3)))
    assert folder(Engine("ray", 2, "head:6379")) == folder(Engine("ray", 2))
    assert folder(Engine("ray", 1)) == job.folder


def test_an_interrupted_run_is_remembered_until_it_is_forgotten(job: Job) -> None:
    assert job.interrupted_run() is None
    job.remember_run("abc")
    assert job.interrupted_run() == "abc"
    job.forget()
    assert job.interrupted_run() is None
    assert not job.folder.exists()


def test_one_training_of_a_job_at_a_time(job: Job) -> None:
    busy = "job: another process trains the same model on the same data now"
    with alone(job), pytest.raises(OutsideError, match=busy), alone(job):
        pass
    with alone(job):
        pass


def test_the_code_digest_is_that_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.py").write_text("x = 1\n")
    (tmp_path / "models" / "notes.txt").write_text("not code")
    monkeypatch.setattr(job_module, "ROOT", tmp_path)
    fresh = code_digest.__wrapped__
    assert fresh() == hashlib.sha256(b"models/a.py\0x = 1\n").hexdigest()
    before = fresh()
    (tmp_path / "models" / "a.py").write_text("x = 2\n")
    assert fresh() != before


def imported(path: Path) -> set[Path]:
    """Files of the project that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = {job_module.ROOT / (name.replace(".", "/") + ".py") for name in names}
    return {file for file in files if file.is_file()}


def reached(path: Path, seen: set[Path]) -> set[Path]:
    """Files that a file imports, and that those import, added to the ones that were seen."""
    for file in imported(path) - seen:
        seen.add(file)
        reached(file, seen)
    return seen


def test_what_only_looks_at_data_is_what_no_training_reaches() -> None:
    shaping = [path for part in ("training", "export") for path in (job_module.ROOT / "tasks" / part).glob("*.py")]
    needed = set[Path]().union(*(reached(path, set()) for path in shaping if path.stem != "steps"))
    here = {path.stem for path in (job_module.ROOT / "tasks" / "data").glob("*.py")} - {"__init__"}
    assert set(job_module.LOOKING["tasks/data"]) == here - {path.stem for path in needed if path.parent.name == "data"}


def test_modules_that_only_look_at_data_change_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "ROOT", tmp_path)
    fresh = code_digest.__wrapped__
    empty = fresh()
    for folder, stems in job_module.LOOKING.items():
        (tmp_path / folder).mkdir(parents=True)
        for stem in stems:
            (tmp_path / folder / f"{stem}.py").write_text("x = 1\n")
    assert fresh() == empty
    (tmp_path / "tasks" / "data" / "splits.py").write_text("x = 1\n")
    assert fresh() != empty


def test_what_only_judges_predictions_changes_no_graph() -> None:
    models = job_module.ROOT / "models"
    assert not job_module._shapes(models / "behaviour.py")
    assert job_module._shapes(models / "network.py")


def test_no_commit_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() is None


def test_a_commit_is_marked_when_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        return subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first", "--no-verify")
    monkeypatch.setattr(job_module, "ROOT", tmp_path)
    commit = git("rev-parse", "HEAD").strip()
    assert git_commit() == commit
    (tmp_path / "a").write_text("2")
    assert git_commit() == f"{commit}-dirty"


def test_a_training_that_begins_with_other_weights_is_another_job(tmp_path: Path) -> None:
    job = Job(read_model_file(write_model(tmp_path, "begun")), tmp_path, tmp_path, "data", "code")
    warm = replace(job, start=Start("1", "run", "a" * 64))
    assert len({job.digest, warm.digest, replace(job, start=Start("2", "run", "b" * 64)).digest}) == 3
    assert replace(job, start=Start("3", "another", "a" * 64)).digest == warm.digest
    assert replace(job, start=Start(why="no champion")).digest == job.digest
