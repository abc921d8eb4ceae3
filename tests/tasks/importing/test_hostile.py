"""Files that are damaged, incomplete or malicious: each is one plain line, and nothing outside is touched."""

import os
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.errors import InputError
from models.modelfile import read_model_file
from tasks.importing import converting, reading
from tasks.importing.confined import unwatched
from tasks.importing.original import take_in
from tasks.importing.package import import_graph
from tests.imports import bring
from tests.tasks.importing.by_hand import linear, passed, problems_of, rows, spec_of, write_external


def test_the_plain_graph_is_taken(tmp_path: Path) -> None:
    found = bring(linear(), spec_of(tmp_path))
    np.testing.assert_allclose(found.predict(rows()).values, rows()["y"], atol=1e-5)


NOT_ONNX: dict[str, tuple[bytes, str]] = {
    "cut short": (linear().SerializeToString()[:-9], "damaged or cut short"),
    "cut to its head": (linear().SerializeToString()[:4], "cut short"),
    "empty": (b"", "an empty file"),
    "a pickle": (pickle.dumps({"a": 1}), "a pickle; a scikit-learn pipeline is read from .pkl or .joblib with --trust"),
    "an archive": (b"PK\x03\x04 and more", "an archive, such as .keras"),
    "text": (b"name: 'net'\nlayer {}", "Caffe's prototxt"),
    "noise": (bytes(range(256)) * 4, "not an ONNX"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
}


@pytest.mark.parametrize("kind", NOT_ONNX)
def test_what_is_no_onnx_file_is_named(tmp_path: Path, kind: str) -> None:
    content, said = NOT_ONNX[kind]
    (problem,) = problems_of(content, spec_of(tmp_path))
    assert said in problem and "given.onnx" in problem


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero")):
        assert problems_of(path, spec_of(tmp_path)) == [f"{path}: neither a file nor a folder"]


def test_a_file_that_is_not_there_and_a_folder_that_is_no_saved_model(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "none.onnx", spec_of(tmp_path)) == [f"{tmp_path / 'none.onnx'}: no such file"]
    assert "a folder without saved_model.pb" in problems_of(tmp_path, spec_of(tmp_path))[0]


def test_a_pickle_is_not_loaded_without_trust(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "was run",))

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Trap()))
    (problem,) = problems_of(tmp_path / "model.pkl", spec_of(tmp_path))
    assert "--trust" in problem
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "C:\\secret", "link", "a/../../secret", ""])
def test_data_outside_of_the_folder_is_not_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "secret").write_bytes(np.ones(2, np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (problem,) = problems_of(write_external(folder, place), spec_of(tmp_path / "rows"))
    assert "outside of its folder" in problem and repr(place) in problem


def test_data_beside_the_graph_is_taken_in(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"xxxx" + np.array([2, 1], np.float32).tobytes())
    path = write_external(tmp_path, "weights.bin", offset=4, length=8)
    found = bring(path, spec_of(tmp_path / "rows"))
    np.testing.assert_allclose(found.predict(rows()).values, rows()["y"], atol=1e-5)
    wrapped = onnx.load(found.imported.folder / "model.onnx", load_external_data=False)
    assert not any(tensor.external_data for tensor in wrapped.graph.initializer)


@pytest.mark.parametrize("more", [{"offset": 4, "length": 8}, {"length": 99}, {"length": -4}, {"offset": -1}])
def test_data_that_is_too_short_or_missing(tmp_path: Path, more: dict[str, int]) -> None:
    (tmp_path / "weights.bin").write_bytes(np.array([2, 1], np.float32).tobytes())
    (problem,) = problems_of(write_external(tmp_path, "weights.bin", **more), spec_of(tmp_path / "rows"))
    assert "weights.bin: holds fewer bytes than the graph asks for" in problem
    (problem,) = problems_of(write_external(tmp_path, "none.bin"), spec_of(tmp_path / "rows"))
    assert "'none.bin' with its data is missing" in problem


def test_a_graph_may_not_change_while_it_is_imported(tmp_path: Path) -> None:
    path, spec = tmp_path / "given.onnx", spec_of(tmp_path)
    path.write_bytes(linear().SerializeToString())
    settings = read_model_file(spec)
    original = take_in(unwatched, path, settings, spec, False, tmp_path)
    path.write_bytes(passed("Relu", "").SerializeToString())
    with pytest.raises(InputError, match="was changed while it was imported"):
        import_graph(unwatched, original, settings, None, None, None, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "extra"), [("network.keras", "keras"), ("pipeline.pkl", "sklearn"), ("saved", "tensorflow")]
)
def test_a_converter_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    monkeypatch.setattr(converting, "find_spec", lambda _: None)
    if name == "saved":
        (tmp_path / name).mkdir()
    (tmp_path / name / "saved_model.pb" if name == "saved" else tmp_path / name).write_bytes(b"x")
    (problem,) = problems_of(tmp_path / name, spec_of(tmp_path), trust=True)
    assert f"is not installed; pip install 'perennial[{extra}]'" in problem


def test_a_trusted_pickle_of_something_else_is_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "dict.pkl").write_bytes(pickle.dumps({"a": 1}))
    (problem,) = problems_of(tmp_path / "dict.pkl", spec_of(tmp_path), trust=True)
    assert "dict.pkl: skl2onnx can't read or convert it" in problem
    (tmp_path / "torn.joblib").write_bytes(pickle.dumps(list(range(100)))[:-30])
    (problem,) = problems_of(tmp_path / "torn.joblib", spec_of(tmp_path), trust=True)
    assert "torn.joblib: scikit-learn can't read or convert it" in problem


def test_a_graph_that_no_single_file_can_hold_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.bin").write_bytes(np.array([2, 1], np.float32).tobytes())
    path = write_external(tmp_path, "weights.bin")
    monkeypatch.setattr(reading, "LARGEST", path.stat().st_size + 1)
    (problem,) = problems_of(path, spec_of(tmp_path / "rows"))
    assert "with the files beside it; a graph in one file has at most 2 GB" in problem
    monkeypatch.setattr(reading, "LARGEST", path.stat().st_size - 1)
    (problem,) = problems_of(path, spec_of(tmp_path / "rows"))
    assert "a graph in one file has at most 2 GB" in problem
    with (tmp_path / "weights.bin").open("ab") as weights:
        weights.truncate(1 << 40)
    monkeypatch.setattr(reading, "LARGEST", 2**31 - 1)
    (problem,) = problems_of(write_external(tmp_path, "weights.bin", length=8), spec_of(tmp_path / "rows"))
    assert problem == f"{tmp_path / 'weights.bin'}: 1099.5 GB; a graph in one file has at most 2 GB"
