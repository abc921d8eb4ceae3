import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from tasks.evaluation.evaluate import Evaluation, evaluate
from tasks.evaluation.plots import figures
from tasks.evaluation.plots.classes import confusion, most_confused, roc
from tasks.evaluation.plots.curves import curve_svg
from tasks.evaluation.plots.style import INK, literal, to_svg
from tests.tasks.evaluation.cases import cancer, diabetes
from tests.tasks.evaluation.samples import classified


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def judged(task: str) -> Evaluation:
    case = cancer() if task == "binary" else diabetes()
    return evaluate(case.contract, case.predict, case.train, case.unseen, resamples=50)


def test_a_binary_model_has_its_figures() -> None:
    drawn = figures(judged("binary"), [0.9, 0.5, 0.4], [0.8, 0.6, 0.7], best_epoch=2)
    expected = ["confusion", "calibration", "precision_recall", "roc", "scores", "importance", "learning"]
    assert list(drawn) == expected
    assert all(isinstance(figure, Figure) for figure in drawn.values())


def test_several_classes_have_the_same_figures() -> None:
    found = replace(judged("binary"), task="multiclass", scored=classified(300, classes=3), classes=("a", "b", "c"))
    drawn = figures(found)
    assert list(drawn) == ["confusion", "calibration", "precision_recall", "roc", "scores", "importance"]
    assert drawn["scores"].axes[0].get_xlabel() == "Highest probability"


def test_a_regression_has_its_figures() -> None:
    assert list(figures(judged("regression"))) == ["predicted_and_true", "residuals", "importance"]


def test_curves_are_left_out_where_one_class_is_absent() -> None:
    found = judged("binary")
    one = replace(found, scored=found.scored.take(found.scored.truth == 0), importance=())
    assert list(figures(one)) == ["confusion", "calibration", "scores"]


def test_the_roc_curve_runs_from_corner_to_corner() -> None:
    scored = classified(5000)
    line = roc(scored, ["no", "yes"]).axes[0].lines[-1]
    points = np.asarray(line.get_xydata())
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert len(points) <= 400


def test_cells_of_the_confusion_matrix_are_counts() -> None:
    scored = classified(200, classes=3)
    texts = [text.get_text().splitlines()[0] for text in confusion(scored, ["a", "b", "c"]).axes[0].texts]
    assert sum(int(text) for text in texts) == 200


@pytest.mark.parametrize("classes", [3, 30, 90])
def test_many_classes_are_drawn(classes: int) -> None:
    scored = classified(400, classes=classes)
    names = [f"class number {index}" for index in range(classes)]
    assert len(roc(scored, names).axes[0].lines) == 2 + min(classes, 30)
    confusion(scored, names).savefig(io.BytesIO(), format="png")


def test_of_many_classes_the_most_confused_are_named() -> None:
    counts = np.diag(np.full(77, 40.0))
    counts[70, 3] = 5
    assert {3, 70} <= set(most_confused(counts).tolist())
    assert len(most_confused(counts)) == 30
    figure = confusion(classified(400, classes=77), [f"class {i}" for i in range(77)])
    assert len(figure.axes[0].get_yticklabels()) == 30
    assert "30 most confused of 77" in figure.axes[0].get_title(loc="left")


def test_a_curve_is_broken_at_gaps_and_stays_in_its_box() -> None:
    values = np.array([1, 5, np.nan, 2, 2], np.float32)
    drawn = ElementTree.fromstring(curve_svg(np.stack([values, values], axis=1)))
    paths = [path.attrib["d"] for path in drawn]
    assert len(paths) == 2
    numbers = [float(n) for path in paths for n in path.strip("MZ").replace("L", " ").split()]
    assert min(numbers) >= 0
    assert max(numbers[1::2]) <= 56


def test_a_flat_and_an_empty_curve_are_drawn() -> None:
    assert "NaN" not in curve_svg(np.ones((4, 2), np.float32))
    assert "<path" not in curve_svg(np.full((4, 2), np.nan, np.float32))


def test_names_are_not_read_as_formulas() -> None:
    figure = confusion(classified(), ["costs $5", "and $x_{$ <b>&"])
    texts = [element.text for element in ElementTree.fromstring(to_svg(figure)).iter() if element.text]
    assert "costs $5" in texts
    assert "and $x_{$ <b>&" in texts


def test_long_names_are_cut() -> None:
    assert literal("x" * 40) == "x" * 27 + "…"


def test_svg_is_inline_and_repeats() -> None:
    first, again = (to_svg(roc(classified(), ["no", "yes"])) for _ in range(2))
    assert first == again
    assert first.startswith("<svg")
    assert INK not in first
    assert "<metadata>" not in first
