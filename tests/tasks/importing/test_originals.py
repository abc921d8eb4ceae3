"""What a version's original is: the files it consists of, and what may be done with them."""

import errno
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression

from models.errors import InputError, OutsideError
from tasks.importing import converting
from tasks.importing.original import digest_of
from tests.imports import bring
from tests.tasks.importing.by_hand import linear, rows, spec_of, write_external


def written(folder: Path, weights: list[float], **more: int) -> Path:
    """The linear graph with its weights in a file beside it."""
    folder.mkdir()
    (folder / "weights.bin").write_bytes(np.array(weights, np.float32).tobytes())
    return write_external(folder, "weights.bin", **more)


def test_weights_beside_the_graph_are_part_of_its_digest(tmp_path: Path) -> None:
    first, same = written(tmp_path / "first", [2, 1]), written(tmp_path / "same", [2, 1])
    other = written(tmp_path / "other", [2, 3])
    assert first.read_bytes() == other.read_bytes()
    assert digest_of(first) == digest_of(same) != digest_of(other)


def test_a_graph_in_one_file_has_the_digest_of_that_file(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "given.onnx"
    path.write_bytes(linear().SerializeToString())
    assert digest_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "none.bin").write_bytes(b"no part of it")
    assert digest_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"no model", b"\x80\x04"])
def test_what_is_no_graph_has_a_digest_too(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "given").write_bytes(content)
    assert len(digest_of(tmp_path / "given")) == 64


def test_data_reaches_to_the_end_of_its_file_where_no_length_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "model", [7, 2, 1], offset=4)
    found = bring(path, spec_of(tmp_path / "rows"))
    np.testing.assert_allclose(found.predict(rows()).values, rows()["y"], atol=1e-5)


def test_a_saved_model_is_a_program_and_not_loaded_without_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "find_spec", lambda _: True)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(InputError, match=r"saved: a SavedModel, and loading it runs .* --trust, .*tf2onnx"):
        converting.require_converter(tmp_path / "saved", trust=False)
    assert converting.require_converter(tmp_path / "saved", trust=True)


def test_a_full_disk_is_nothing_wrong_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rows()
    joblib.dump(LinearRegression().fit(frame[["a", "b"]], frame["y"]), tmp_path / "fitted.pkl")
    spec = spec_of(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OutsideError, match=r"fitted\.pkl: no room to convert it in .*: No space left on device"):
        bring(tmp_path / "fitted.pkl", spec, trust=True)


def test_another_scikit_learn_that_fitted_a_pipeline_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rows()
    fitted = LinearRegression().fit(frame[["a", "b"]], frame["y"])
    joblib.dump(fitted, tmp_path / "same.pkl")
    monkeypatch.setattr(sklearn.base, "__version__", "1.2.3")
    joblib.dump(fitted, tmp_path / "other.pkl")
    monkeypatch.undo()
    assert bring(tmp_path / "same.pkl", spec_of(tmp_path), trust=True).imported.facts.notes == ()
    (note,) = bring(tmp_path / "other.pkl", spec_of(tmp_path), trust=True).imported.facts.notes
    assert note.startswith(f"fitted by scikit-learn 1.2.3 and loaded by {sklearn.__version__}")
