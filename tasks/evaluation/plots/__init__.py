"""The figures of an evaluation. Each is a Figure of its own, outside matplotlib's global state."""

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from tasks.evaluation.evaluate import Evaluation
from tasks.evaluation.metrics import present_classes
from tasks.evaluation.plots.classes import confusion, precision_recall, roc, scores
from tasks.evaluation.plots.reliability import calibration
from tasks.evaluation.plots.training import importance, learning_curves
from tasks.evaluation.plots.values import predicted_and_true, residuals
from tasks.evaluation.quiet import quiet


def figures(
    evaluation: Evaluation, train_loss: Sequence[float] = (), validation_loss: Sequence[float] = (), best_epoch: int = 0
) -> dict[str, Figure]:
    """The task's figures by name, in the order of a report. Losses are by epoch; `best_epoch` counts from 1.

    Rows of weight 0 are not drawn; where no other is there, neither is what needs rows.
    """
    with quiet():
        return dict(_figures(evaluation, train_loss, validation_loss, best_epoch))


def _figures(
    evaluation: Evaluation, train_loss: Sequence[float], validation_loss: Sequence[float], best_epoch: int
) -> Iterator[tuple[str, Figure]]:
    if len(evaluation.scored.counted):
        yield from _values(evaluation) if evaluation.task == "regression" else _classes(evaluation)
    if evaluation.importance:
        yield "importance", importance(evaluation.importance, evaluation.primary)
    if validation_loss:
        yield "learning", learning_curves(train_loss, validation_loss, best_epoch)


def _classes(evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
    scored = evaluation.scored.counted
    names = [str(name) for name in evaluation.classes]
    boosting = next((b.scored.counted for b in evaluation.baselines if b.name == "boosting"), None)
    yield "confusion", confusion(scored, names)
    yield "calibration", calibration(scored, names)
    if len(present_classes(scored)) > 1:
        yield "precision_recall", precision_recall(scored, names, boosting)
        yield "roc", roc(scored, names, boosting)
    yield "scores", scores(scored, names)


def _values(evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
    yield "predicted_and_true", predicted_and_true(evaluation.scored.counted)
    yield "residuals", residuals(evaluation.scored.counted)
