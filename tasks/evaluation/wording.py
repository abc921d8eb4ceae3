"""The report's sentences: what the numbers mean to someone who doesn't train models."""

from collections.abc import Mapping
from types import MappingProxyType

from models.modelfile import LOWER_IS_BETTER
from tasks.evaluation.baselines import RIVALS, Rival
from tasks.evaluation.bootstrap import Interval
from tasks.evaluation.evaluate import Evaluation
from tasks.evaluation.metrics import NAMES

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "average_precision": "how clean the list is when rows are sorted by risk; guessing gets the share of positives",
        "roc_auc": "chance that a positive row is ranked above a negative one; guessing gets 0.5",
        "roc_auc_macro": "chance that a row of the class is ranked above any other; guessing gets 0.5",
        "f1": "balance of precision and recall",
        "f1_macro": "balance of precision and recall, each class counting the same",
        "precision": "share of alarms that are right",
        "precision_macro": "share of claims that are right",
        "recall": "share of positives that are found",
        "recall_macro": "share of each class that is found",
        "accuracy": "share of rows decided right",
        "top_3_accuracy": "share of rows whose class is among the three likeliest",
        "balanced_accuracy": "accuracy, each class counting the same",
        "log_loss": "penalty for being sure and wrong",
        "brier": "squared error of the probabilities",
        "calibration_error": "gap between promised and actual frequency",
        "rmse": "typical error, large ones counting more",
        "mae": "average size of an error",
        "r2": "share of the variation that is explained",
    }
)

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "confusion": "Each line is a true class. Blue: decided right. Orange: mix-ups, fuller where they are more.",
        "calibration": "On the dashed line, “80 % sure” comes true in 80 of 100 cases. Long strokes: few rows.",
        "precision_recall": "Finding more of the class costs wrong claims. The higher the line, the smaller the price.",
        "roc": "Finding more of the class costs false alarms. The closer to the upper left corner, the better.",
        "scores": "The less the two shapes overlap, the safer the decisions.",
        "predicted_and_true": "Each dot is an unseen row. The closer to the dashed line, the better.",
        "residuals": "Errors should scatter evenly around zero. A slope or funnel: some values are served worse.",
        "importance": "Each column was shuffled in turn. Where that hurts most is what the model relies on.",
        "learning": "The weights kept are those with the lowest loss on rows that were not trained on.",
    }
)


def show(value: float | None) -> str:
    """A figure as a person reads it: three digits after the point up to 10, fewer above; a dash where undefined."""
    if value is None or value != value:
        return "–"
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 1000 else 0
    large_or_small = abs(value) >= 1e6 or 0 < abs(value) < 1e-3
    return (f"{value:.3g}" if large_or_small else f"{value:,.{digits}f}").replace("-", "−")


def show_time(seconds: float) -> str:
    """A duration as a person reads it: 12 s, 4 min 23 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def headline(target: str, evaluation: Evaluation) -> str:
    """One sentence: what is predicted, how well, on how many unseen rows, against which baselines."""
    value = evaluation.metrics.get(evaluation.primary)
    if value is None:
        return f"This model predicts “{target}”, but its {evaluation.rows:,} test rows can't say how well."
    others = {baseline.name: baseline.metrics.get(evaluation.primary) for baseline in evaluation.baselines}
    name = rival_name(evaluation)
    rival, dummy = (_amount(evaluation, others.get(baseline)) for baseline in (name, "dummy"))
    claim = _claim(target, evaluation, value)
    return f"{claim}, against {rival} for {RIVALS[name]} and {dummy} {_guess(evaluation)}."


def rival_name(evaluation: Evaluation) -> Rival:
    """Which baseline looks at the columns."""
    return "linear" if evaluation.rival is not None and evaluation.rival.name == "linear" else "boosting"


def _claim(target: str, evaluation: Evaluation, value: float) -> str:
    low, high = evaluation.intervals.get(evaluation.primary, (value, value))
    range_ = f"(95 % interval {_amount(evaluation, low)} to {_amount(evaluation, high)})"
    unseen = f"{evaluation.rows:,} rows it had never seen"
    if evaluation.task == "binary":
        wanted = f"“{target}” = “{evaluation.classes[1]}”"
        return f"This model finds {wanted} with an average precision of {show(value)} {range_} on {unseen}"
    if evaluation.task == "multiclass":
        which = f"which of {len(evaluation.classes)} classes “{target}” is"
        return f"This model tells {which}, and is right on {_percent(value)} {range_} of {unseen}"
    return f"This model predicts “{target}” with a typical error of {show(value)} {range_} on {unseen}"


def _amount(evaluation: Evaluation, value: float | None) -> str:
    return _percent(value) if evaluation.primary == "accuracy" and value is not None else show(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _guess(evaluation: Evaluation) -> str:
    return {"binary": "for guessing", "multiclass": "for always naming the commonest class"}.get(
        evaluation.task, "for always saying the mean"
    )


def earns_its_keep(evaluation: Evaluation) -> tuple[str, str]:
    """A mark (`good`, `even` or `bad`) and a sentence: whether the network is worth having beside its rival."""
    lead, rival = None if evaluation.rival is None else evaluation.rival.lead, RIVALS[rival_name(evaluation)]
    if lead is None or lead.low != lead.low:
        return "even", f"The test rows can't tell the network from {rival}."
    name = NAMES[evaluation.primary].lower()
    better = (lead.difference >= 0) != (evaluation.primary in LOWER_IS_BETTER)
    gap = f"{name} is {'higher' if better else 'lower'} by {show(abs(lead.difference))} than {rival}'s"
    if lead.low > 0:
        return "good", f"The network earns its keep: its {gap} ({_range(lead)})."
    if lead.high < 0:
        return (
            "bad",
            f"{rival.capitalize()} does better here: the network's {gap} ({_range(lead)}). Consider it instead.",
        )
    return (
        "even",
        f"Network and {rival} can't be told apart on these rows: the network's {gap} ({_range(lead)}).",
    )


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '−'}{show(abs(value))}"


def _range(lead: Interval) -> str:
    return f"95 % interval {_signed(lead.low)} to {_signed(lead.high)} in its favour"
