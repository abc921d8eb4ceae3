"""Promise 1: the judged file is byte for byte the one that is registered, promoted and scored; none can run code."""

import hashlib
import pickle
import shutil
from pathlib import Path

import onnx
import pytest
import torch

from models.errors import InputError, PerennialError
from models.modelfile import read_model_file
from tasks.registry import versions
from tasks.registry.versions import download, find_version
from tasks.scoring.predictor import Predictor
from tasks.training.checkpoint import load_checkpoint
from tasks.training.fit import load_weights
from tests.conftest import Copy, Small
from tests.small import cli, plain

SAFE = {".onnx", ".json", ".txt", ".yaml", ""}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored_graph(home: Path, model: str) -> Path:
    """The graph in the artefact store."""
    version = versions.resolve(model)
    return next(path for path in home.rglob("model.onnx") if version.model_id in path.parts)


def test_the_judged_bytes_are_the_downloaded_bytes(small: Small, tmp_path: Path) -> None:
    version = find_version("small", "1")
    again = download(version, tmp_path)
    for name in ("model.onnx", "contract.json"):
        assert (again / name).read_bytes() == (small.package / name).read_bytes()
    assert version.sha256 == sha256(small.package / "model.onnx")


def test_nothing_in_the_artefact_can_run_code(small: Small) -> None:
    files = [path for path in small.downloaded.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= SAFE
    assert not any(path.read_bytes()[:2] in (b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK") for path in files)


def test_a_changed_graph_is_refused_wherever_it_is_loaded(small: Small, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.downloaded, tmp_path / "package"))
    graph = bytearray((folder / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (folder / "model.onnx").write_bytes(graph)
    with pytest.raises(InputError, match=r"model\.onnx: SHA-256 .* which was registered"):
        Predictor.load(folder)
    from tasks.scoring.pyfunc import _load_pyfunc

    with pytest.raises(InputError, match="SHA-256"):
        _load_pyfunc(str(folder))


def test_another_contract_cannot_vouch_for_another_graph(small: Small, tmp_path: Path) -> None:
    """Graph and contract swapped together agree with each other, but not with the registry."""
    folder = Path(shutil.copytree(small.downloaded, tmp_path / "package"))
    contract = (folder / "contract.json").read_text()
    registered = sha256(folder / "model.onnx")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"\x00")
    (folder / "contract.json").write_text(contract.replace(registered, sha256(folder / "model.onnx")))
    with pytest.raises(InputError, match="SHA-256"):
        Predictor.load(folder, registered)
    (folder / "model.onnx").write_bytes((small.downloaded / "model.onnx").read_bytes())
    with pytest.raises(InputError, match="the contract names another graph than the registry"):
        Predictor.load(folder, registered)


def test_a_missing_graph_is_a_plain_line(small: Small, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.downloaded, tmp_path / "package"))
    (folder / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx: the graph is missing"):
        Predictor.load(folder)


def test_scoring_and_promotion_refuse_a_store_that_was_tampered_with(
    copy: Copy, home: Path, rows_csv: Path, tmp_path: Path
) -> None:
    copy("tampered")
    assert cli("promote", "tampered").code == 0
    copy("tampered")
    path = stored_graph(home, "tampered@champion")
    graph = bytearray(path.read_bytes())
    graph[len(graph) // 2] ^= 1
    path.write_bytes(graph)
    plain(
        cli("score", "tampered", "--input", rows_csv, "--output", tmp_path / "out"),
        2,
        f"models:/tampered/1 ({path.parent.as_uri()})/model.onnx",
        "SHA-256",
    )
    assert not (tmp_path / "out").exists()
    plain(cli("promote", "tampered"), 2, "SHA-256")
    assert versions.resolve("tampered").number == "1"


def test_scoring_refuses_a_graph_and_contract_that_were_swapped_together(
    copy: Copy, home: Path, rows_csv: Path, tmp_path: Path
) -> None:
    """They agree with each other, so only the hash on the version tells."""
    copy("swapped")
    path = stored_graph(home, "swapped/1")
    registered = sha256(path)
    model = onnx.load(path)
    model.doc_string = "another"
    path.write_bytes(model.SerializeToString())
    contract = path.with_name("contract.json")
    contract.write_text(contract.read_text().replace(registered, sha256(path)))
    plain(cli("score", "swapped/1", "--input", rows_csv, "--output", tmp_path / "out"), 2, "SHA-256")
    assert not (tmp_path / "out").exists()


def test_weights_that_hold_code_are_not_executed(small: Small, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"statistics": Evil()}, tmp_path / "weights.pt")
    with pytest.raises((PerennialError, pickle.UnpicklingError)):
        load_weights(tmp_path / "weights.pt", read_model_file(small.file))
    assert not (tmp_path / "executed").exists()


def test_checkpoints_that_hold_code_are_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"state": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(PerennialError, match="damaged checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(PerennialError):
        load_checkpoint(tmp_path / "plain.pt")
    assert not (tmp_path / "executed").exists()


def test_score_promote_and_monitor_refuse_what_was_changed_beside_the_graph(
    small: Small, copy: Copy, home: Path, rows_csv: Path, tmp_path: Path
) -> None:
    """Other classes, another threshold, softer gates, other code: the graph's own hash tells none of it."""
    changes = {
        "contract.json": ('"no"', '"yes"'),
        "model_file.json": ('"min_rows": 50', '"min_rows": 5'),
        "profile.json": ('"rows": ', '"rows": 1'),
        "MLmodel": ("tasks.scoring.pyfunc", "os"),
    }
    copy("sealed")
    shutil.copyfile(small.downloaded / "profile.json", tmp_path / "copy-sealed" / "profile.json")
    copy("sealed")
    assert cli("promote", "sealed").code == 0
    copy("sealed")
    score, promote = ("score", "sealed", "--input", rows_csv, "--output", tmp_path / "out"), ("promote", "sealed")
    monitor = ("monitor", "sealed", "--input", rows_csv)
    for (name, (old, new)), words in zip(changes.items(), (score, promote, monitor, score), strict=True):
        path = stored_graph(home, "sealed@champion").with_name(name)
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        told = (f"models:/sealed/2 ({path.parent.as_uri()})/{name}", "SHA-256", "was changed or damaged")
        plain(cli(*words), 2, *told)
        path.write_text(before)
    path.unlink()
    plain(cli(*promote), 2, "MLmodel: is missing, and was registered")
    path.write_text(before)
    assert not (tmp_path / "out").exists()
    assert versions.resolve("sealed").number == "2"
    assert cli("promote", "sealed").code == 0
