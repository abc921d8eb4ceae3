"""Answers that were recorded where a model was made, and what is said of the comparison."""

from pathlib import Path

import pytest

from tasks.importing.recorded import DiffersError
from tests.imports import bring, quoted, write_spec
from tests.tasks.importing.by_hand import COLUMNS, rows
from tests.tasks.importing.test_wrapping import classifier, scores, soft

GRAPH = f"missing = 0\nclasses = {quoted('p', 'q')}\nrecorded = 'recorded.csv'"


def write_recorded(folder: Path, labels: list[str], probabilities: bool) -> None:
    """What the graph of two classes says, with labels in place of its own."""
    said = rows()[["a", "b"]].assign(label=labels)
    if probabilities:
        said["probability_q"] = soft(scores(2))[:, 1]
    said.to_csv(folder / "recorded.csv", index=False)


def most_likely() -> list[str]:
    return ["pq"[place] for place in soft(scores(2)).argmax(axis=1)]


@pytest.mark.parametrize("probabilities", [True, False], ids=["with probabilities", "labels alone"])
def test_recorded_labels_are_the_most_likely_classes_whatever_mistakes_cost(
    tmp_path: Path, probabilities: bool
) -> None:
    target = 'column = "kind"\npositive = "q"\ncost = { false_alarm = 9, miss = 1 }'
    spec = write_spec(tmp_path, rows(), target, COLUMNS, GRAPH)
    labels = most_likely()
    write_recorded(tmp_path, labels, probabilities)
    found = bring(classifier("Softmax"), spec)
    assert found.contract.threshold == 0.9
    assert found.imported.recorded is not None and found.imported.recorded.labels_differ == 0
    assert (found.predict(rows()).index == [label == "q" for label in labels]).mean() < 0.9
    labels[6] = "p" if labels[6] == "q" else "q"
    write_recorded(tmp_path, labels, probabilities)
    with pytest.raises(DiffersError, match=r"the label of 1 of 80 rows is another than in .*, the first of them row 7"):
        bring(classifier("Softmax"), spec)


def test_labels_alone_are_told_as_labels(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, rows(), 'column = "kind"', COLUMNS, GRAPH)
    write_recorded(tmp_path, most_likely(), probabilities=False)
    alone = bring(classifier("Softmax"), spec).imported.recorded
    assert alone is not None and alone.line() == "80 recorded labels agree; no probabilities were recorded"
    assert alone.metrics() == {}
    write_recorded(tmp_path, most_likely(), probabilities=True)
    both = bring(classifier("Softmax"), spec).imported.recorded
    assert both is not None and both.line().startswith("as recorded within ") and both.metrics()
