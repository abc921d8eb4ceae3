"""Truth and predictions of a window: every row once, and of very many a part."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.contract import Contract
from models.errors import InputError
from tasks.monitoring import outcomes
from tasks.monitoring.outcomes import LabelFiles, Labels, Outcomes, read_labels
from tasks.monitoring.performance import Figure, Measured, compare_performance, measure
from tasks.monitoring.window import find_sources
from tasks.scoring.predictor import Predictions
from tasks.scoring.request import Options


def contract(**more: Any) -> Contract:
    split = {"rule": "hash", "columns": ["id"], "validation": 0.1, "test": 0.2}
    given = {
        "name": "m", "task": "binary", "target": "y", "columns": [], "missing": ["", "NA"], "classes": [0, 1],
        "split": split, "snapshot": "s", "model_file": "f", "code": "c", "graph_sha256": "g",
    }  # fmt: skip
    return Contract.model_validate(given | more)


def said(positive: list[float]) -> Predictions:
    ones = np.array(positive, dtype=np.float32)
    return Predictions(
        index=(ones >= 0.5).astype(np.int64), probabilities=np.stack([1 - ones, ones], axis=1), values=None
    )


def test_rows_without_a_label_are_left_out_and_unknown_classes_counted() -> None:
    found = Outcomes(contract(), None)
    found.add(pa.table({"y": ["1", "NA", "0", "2", None]}), said([0.9, 0.1, 0.2, 0.9, 0.4]))
    measured = measure(found)
    assert measured is not None
    assert (measured.labelled, measured.unknown) == (3, 1)
    assert measured.figures["accuracy"].value == 1.0


def test_sample_weights_count_where_the_version_was_judged_with_them() -> None:
    found = Outcomes(contract(weight="w"), None)
    found.add(pa.table({"y": ["1", "0", "0", "1"], "w": ["3", "1", "NA", "1"]}), said([0.9, 0.9, 0.1, 0.1]))
    measured = measure(found)
    assert measured is not None and measured.figures["accuracy"].value == pytest.approx(4 / 6)


def arrived(folder: Path, *lines: str, **more: Any) -> dict[Any, Any]:
    """Labels of a CSV file by their keys."""
    file = folder / "labels.csv"
    file.write_text("\n".join(["id,y", *lines, ""]))
    found = read_labels(LabelFiles(str(file), "id"), contract(**more))
    return dict(zip(found.keys.to_pylist(), found.truth.to_pylist(), strict=True))


def test_late_labels_are_read_as_the_target_is(tmp_path: Path) -> None:
    # Missing labels come first and the true one later; whole numbers become decimals where some are missing.
    assert arrived(tmp_path, "1,", "2,NA", "3,0", "1,1.0", "1,1", "NA,0", ",1") == {"1": "1", "3": "0"}
    regression = arrived(tmp_path, "1,2.50", "1,2.5", "2,broken", "2,7", task="regression", classes=[])
    assert regression == {"1": 2.5, "2": 7.0}
    with pytest.raises(InputError, match="id '1' has several labels"):
        arrived(tmp_path, "1,0", "1,1", "1,")


def test_only_what_is_read_now_needs_the_target_or_the_key(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("a\n1\n")
    known = find_sources([f"{tmp_path}/*.csv"], Options(), (), True).fingerprints
    (tmp_path / "new.csv").write_text("id,y\n1,0\n")
    sources = find_sources([f"{tmp_path}/*.csv"], Options(), known, True)
    labels = Labels("id", pa.array(["1"]), pa.chunked_array([["0"]]))
    assert Outcomes.wanted(contract(), None, sources) and Outcomes.wanted(contract(), labels, sources)
    both = find_sources([f"{tmp_path}/*.csv"], Options(), (), True)
    assert Outcomes.wanted(contract(), None, both) is None
    with pytest.raises(InputError, match="no column 'id'"):
        Outcomes.wanted(contract(), labels, both)


def test_late_labels_are_not_for_new_files() -> None:
    assert LabelFiles.of(None, None, new=True) is None
    with pytest.raises(InputError, match="--labels and --new"):
        LabelFiles.of("labels.csv", "id", new=True)


def test_of_very_many_rows_a_random_part_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MOST_ROWS", 1000)
    found, random = Outcomes(contract(), None), np.random.default_rng(0)
    for _ in range(50):
        truth = random.random(200) < 0.5
        right = random.random(200) < 0.8
        positive = np.where(truth == right, 0.9, 0.1)
        found.add(pa.table({"y": truth.astype(int)}), said(positive.tolist()))
    scored = found.scored()
    assert scored is not None and 300 < len(scored) <= 1000 and found.labelled == 10_000
    measured = measure(found)
    assert measured is not None and measured.figures["accuracy"].value == pytest.approx(0.8, abs=0.06)


def test_worse_means_on_the_worse_side_of_the_interval_whichever_way_the_metric_runs() -> None:
    promised = {"accuracy": Figure(0.9, 0.88, 0.92), "log_loss": Figure(0.3, 0.28, 0.32), "f1": Figure(0.9, 0.88, 0.92)}
    low, high = Figure(0.5, 0.4, 0.6), Figure(0.95, 0.93, 0.97)
    now = Measured(100, 0, {"accuracy": low, "log_loss": high, "f1": low, "roc_auc": low})
    found = compare_performance(now, promised, {"accuracy", "log_loss"}, 100)
    assert [each.metric for each in found.worse] == ["accuracy", "log_loss"]
    assert [each.metric for each in found.compared] == ["accuracy", "log_loss", "f1"]
    other = Measured(100, 0, {"accuracy": high, "log_loss": Figure(0.2, 0.1, 0.25)})
    assert compare_performance(other, promised, {"accuracy", "log_loss"}, 100).worse == ()


def test_few_labels_are_shown_and_not_judged() -> None:
    low = Figure(0.0, 0.0, 0.0)
    for labelled, unknown, enough in [(100, 0, True), (99, 0, False), (110, 11, False), (1, 0, False)]:
        few = Measured(labelled, unknown, {"accuracy": low})
        found = compare_performance(few, {"accuracy": Figure(0.9, 0.88, 0.92)}, {"accuracy"}, 100)
        assert [each.now for each in found.compared] == [low]
        assert (bool(found.worse), found.enough, found.as_dict()["enough"]) == (enough, enough, enough)
