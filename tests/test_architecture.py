"""The shape of the code: what import-linter, ruff and mypy don't hold."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small import ROOT

SOURCES = sorted(path for part in ("models", "tasks", "flows", "infra") for path in (ROOT / part).rglob("*.py"))
FLOWS = sorted((ROOT / "flows").glob("*.py"))
HEAVY = {"torch", "mlflow", "prefect", "pandas", "pyarrow", "sklearn", "onnxruntime", "numpy"}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def flows() -> list[tuple[str, ast.AST]]:
    """Functions that are decorated with `@flow(...)`."""
    return [
        (f"{path.name}:{function.name}", function)
        for path in FLOWS
        for function in functions(path)
        if any(ast.unparse(decorator).split("(")[0] == "flow" for decorator in function.decorator_list)
    ]


def test_the_flows_are_found() -> None:
    assert {"train", "promote", "retrain", "score", "monitor", "rollback"} <= {
        name.split(":")[1] for name, _ in flows()
    }


@pytest.mark.parametrize(("name", "function"), flows(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_flow_is_a_list_of_steps(name: str, function: ast.FunctionDef) -> None:
    body = [node for statement in function.body for node in ast.walk(statement)]
    forbidden = (ast.Try, ast.BinOp, ast.AugAssign, ast.For, ast.While, ast.ListComp, ast.Lambda)
    found = [f"line {node.lineno}: {type(node).__name__}" for node in body if isinstance(node, forbidden)]
    assert found == []


def lines_of(function: ast.FunctionDef) -> int:
    """Without its docstring, which in a flow holds the help of each parameter of the form."""
    first = function.body[0]
    described = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if described else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_files_and_functions_read_in_one_breath() -> None:
    long_files = [f"{p}: {n}" for p in SOURCES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 350]
    long_functions = [
        f"{path}:{function.name}: {length}"
        for path in SOURCES
        for function in functions(path)
        if (length := lines_of(function)) > 50
    ]
    assert long_files == []
    assert long_functions == []


def test_there_is_no_assert_outside_the_tests() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_the_command_line_starts_without_anything_heavy() -> None:
    probe = f"import sys, flows.cli; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_importing_a_module_writes_nothing(tmp_path: Path) -> None:
    probe = "import flows.environment, flows.results, models.modelfile, tasks.policy, tasks.progress"
    environment = os.environ | {"PERENNIAL_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=environment, check=True)
    assert not (tmp_path / "home").exists()
