"""A variant of an imported version tells where it came from, as its parent does."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.hardware import variant
from tasks.registry.versions import Version
from tests.tasks.hardware.made import point


def test_a_variant_of_an_imported_version_names_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = {"original.file": "net.onnx", "original.sha256": "b" * 64, "framework": "onnx"}
    parent = Version("m", "4", "r", "models:/m-1", {**origin, "parity": "0", "recorded": "as recorded"}, ())
    kept: dict[str, str] = {}
    monkeypatch.setattr(variant, "read_contract", lambda _: SimpleNamespace(model_copy=lambda update: None))
    monkeypatch.setattr(variant, "write_contract", lambda *_: None)
    monkeypatch.setattr(variant, "record", lambda *_: None)
    monkeypatch.setattr(variant, "register", lambda *given: kept.update(given[3]) or parent)
    graph, package = tmp_path / "other.onnx", tmp_path / "package"
    graph.write_bytes(b"graph")
    package.mkdir()
    best = point(precision="int8-tensor")
    variant.register_variant(parent, package, graph, best, "accuracy", None, "run")  # type: ignore[arg-type]
    assert origin.items() <= kept.items()
    assert (kept["parent"], kept["precision"]) == ("4", "int8-tensor")
    assert not {"parity", "recorded"} & set(kept), "these were checked of the parent"
