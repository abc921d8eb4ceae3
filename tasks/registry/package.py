"""The registered folder: graph, contract, model file and MLflow's description of them. Nothing in it can run code."""

import json
import platform
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import onnx
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, Schema, TensorSpec

from models.contract import CONTRACT_FILE, GRAPH_FILE, Contract
from models.errors import InputError
from models.modelfile import ModelFile
from models.packaged import MODEL_FILE
from models.profile import PROFILE_FILE
from tasks.scoring.predictor import check_graph
from tasks.scoring.sinks import sha256_of

DESCRIPTION = "MLmodel"
LOADER = "tasks.scoring.pyfunc"
SEALED = (CONTRACT_FILE, MODEL_FILE, PROFILE_FILE, DESCRIPTION)
"""Files that say how a version decides, acts and is judged. The graph has a hash of its own."""


def write_package(exported: Path, model_file: ModelFile, folder: Path) -> None:
    """Fills `folder` with what a version consists of; the exported graph is copied byte for byte as it was judged."""
    for name in (GRAPH_FILE, CONTRACT_FILE):
        shutil.copyfile(exported / name, folder / name)
    if (exported / PROFILE_FILE).exists():
        shutil.copyfile(exported / PROFILE_FILE, folder / PROFILE_FILE)
    settings = json.dumps(model_file.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / MODEL_FILE).write_text(settings + "\n", encoding="utf-8")
    requirements = [f"mlflow=={mlflow.__version__}", f"onnx=={onnx.__version__}", "perennial"]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")


def describe_package(folder: Path, contract: Contract, run_id: str, model_id: str) -> None:
    """Writes MLflow's MLmodel file: the pyfunc flavour through our loader, the ONNX flavour for the graph itself."""
    model = Model(run_id=run_id, model_id=model_id, signature=signature(contract))
    model.add_flavor("python_function", loader_module=LOADER, data=".", python_version=platform.python_version())
    model.add_flavor(
        "onnx",
        onnx_version=onnx.__version__,
        data=GRAPH_FILE,
        providers=["CPUExecutionProvider"],
        options=None,
        code=None,
    )
    model.save(str(folder / DESCRIPTION))


def seals(folder: Path) -> dict[str, str]:
    """Tags of a version: the SHA-256 of each of its files beside the graph."""
    there = [folder / name for name in SEALED if (folder / name).exists()]
    return {_seal(path.name): sha256_of(path) for path in there}


def check_seals(paths: Iterable[Path], tags: Mapping[str, str]) -> None:
    """Raises InputError where one of the files is not the one that the tags of its version tell of.

    Versions of earlier releases have no such tags.
    """
    for path in paths:
        if _seal(path.name) in tags:
            if not path.exists():
                raise InputError(f"{path}: is missing, and was registered; restore it or train again")
            check_graph(path, path.read_bytes(), tags[_seal(path.name)])


def _seal(name: str) -> str:
    return f"{name}.sha256"


def signature(contract: Contract) -> ModelSignature:
    """Raw columns in, all optional, since a missing value is imputed in the graph; decisions out."""
    # MLflow refuses int64 where a signature says double, and text where it says datetime; our side reads all of them.
    anything: Any = AnyType()  # type: ignore[no-untyped-call]
    inputs: list[ColSpec | TensorSpec] = [ColSpec(anything, name=name, required=False) for name in contract.raw_columns]
    if contract.task == "regression":
        return ModelSignature(Schema(inputs), Schema([ColSpec(DataType.float, name="value")]))
    label = {str: DataType.string, int: DataType.long, bool: DataType.boolean}[type(contract.classes[0])]
    numbers = ["probability", *(f"probability_{name}" for name in contract.classes)]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(label, name="label"),
        *(ColSpec(DataType.float, name=name) for name in numbers),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))
