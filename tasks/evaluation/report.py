"""One HTML file per version that a manager can read: no scripts, nothing loaded from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from models.contract import Contract
from models.modelfile import LOWER_IS_BETTER, METRICS, UNDER
from models.sections import Cost
from tasks.evaluation.baselines import RIVALS
from tasks.evaluation.evaluate import Evaluation
from tasks.evaluation.metrics import NAMES, ClassRow, improvement
from tasks.evaluation.page import render_page
from tasks.evaluation.plots.curves import curve_svg
from tasks.evaluation.plots.style import to_svg
from tasks.evaluation.scored import Scored
from tasks.evaluation.wording import (
    FIGURES,
    MEANINGS,
    earns_its_keep,
    headline,
    rival_name,
    show,
    show_time,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 40
SLICE_METRICS = 3
"""Metrics shown per slice, the first that are defined."""


@dataclass(frozen=True)
class TrainingFacts:
    """How the training went; losses by epoch, `best_epoch` counted from 1."""

    epochs: int
    best_epoch: int
    seconds: float
    parameters: int
    train_loss: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()


@dataclass(frozen=True)
class GateFacts:
    """One gate and what came of it; `passed` is None where it could not be judged."""

    name: str
    passed: bool | None
    reason: str


@dataclass(frozen=True)
class ReportFacts:
    """What the report says beside the judgement; all of it is optional but the rows per split."""

    rows: Mapping[str, int]
    """Rows per split."""
    sources: Sequence[str] = ()
    rejects: Mapping[str, int] = field(default_factory=dict)
    """Rows set aside by reason."""
    training: TrainingFacts | None = None
    cost: Cost | None = None
    gates: Sequence[GateFacts] = ()
    made: str | None = None
    """When, as a person reads it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Further facts by name, such as the git commit or the run id."""


def render_report(
    contract: Contract, evaluation: Evaluation, figures: Mapping[str, "Figure"], facts: ReportFacts
) -> str:
    """The whole report as one HTML text; figures are inline SVG. Every name in it is escaped."""
    mark, keep = earns_its_keep(evaluation)
    return render_page(
        "tasks.evaluation",
        "report.html",
        {"show": show, "show_time": show_time, "curve": curve_svg, "uri": _data_uri},
        contract=contract,
        evaluation=evaluation,
        facts=facts,
        headline=headline(contract.target, evaluation),
        mark=mark,
        names=NAMES,
        keep=keep,
        metrics=_metric_rows(evaluation),
        decisions=_decisions(evaluation, facts.cost),
        classes=_class_rows(evaluation),
        rival=RIVALS[rival_name(evaluation)],
        shifts=_shift_rows(evaluation),
        has_texts=_has_texts(evaluation),
        slices=_slice_groups(evaluation),
        slice_names=[NAMES[name] for name in _slice_metrics(evaluation)],
        figures=[(name, to_svg(figure), FIGURES.get(name, "")) for name, figure in figures.items()],
        identity=_identity(contract, facts),
    )


def _metric_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row per defined metric: the model's with its interval, each baseline's, and which of all is best."""
    by_baseline = {baseline.name: baseline.metrics for baseline in evaluation.baselines}
    rows = []
    for name in METRICS[evaluation.task]:
        baselines = (rival_name(evaluation), "dummy")
        columns = [evaluation.metrics.get(name), *(by_baseline.get(b, {}).get(name) for b in baselines)]
        if not any(value is not None for value in columns):
            continue
        known = [value for value in columns[:2] if value is not None]
        best = (min(known) if name in LOWER_IS_BETTER else max(known)) if known else None
        rows.append(
            {
                "name": NAMES[name],
                "meaning": MEANINGS[name],
                "lower": name in LOWER_IS_BETTER,
                "primary": name == evaluation.primary,
                "columns": [(value, i < 2 and value is not None and value == best) for i, value in enumerate(columns)],
                "interval": evaluation.intervals.get(name),
            }
        )
    return rows


def _class_rows(evaluation: Evaluation) -> Sequence[ClassRow]:
    """All classes in their own order, or the most frequent ones where they are too many."""
    if len(evaluation.by_class) <= MOST_CLASSES:
        return evaluation.by_class
    return sorted(evaluation.by_class, key=lambda row: row.support, reverse=True)[:MOST_CLASSES]


def _decisions(evaluation: Evaluation, cost: Cost | None) -> list[dict[str, Any]]:
    """What a binary model's decisions come to per 1,000 rows, and boosting's, and always and never deciding yes."""
    if evaluation.task != "binary" or not len(evaluation.scored.counted):
        return []
    scored, price = evaluation.scored, cost or Cost()
    boosting = [("Gradient boosting", b.scored.labels) for b in evaluation.baselines if b.name == "boosting"]
    options = [
        ("This model", scored.labels),
        *boosting,
        (f"Always “{evaluation.classes[1]}”", np.ones_like(scored.labels)),
        (f"Never “{evaluation.classes[1]}”", np.zeros_like(scored.labels)),
    ]
    return [{"name": name} | _per_thousand(scored, labels, price) for name, labels in options]


def _per_thousand(scored: Scored, labels: Any, price: Cost) -> dict[str, float]:
    share = 1000 * scored.weights / scored.weights.sum()
    positive, claimed = scored.truth == 1, labels == 1
    false_alarms = float(share[claimed & ~positive].sum())
    misses = float(share[positive & ~claimed].sum())
    return {
        "found": float(share[positive & claimed].sum()),
        "false_alarms": false_alarms,
        "misses": misses,
        "cost": false_alarms * price.false_alarm + misses * price.miss,
    }


def _shift_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """What each shift makes of the primary metric, the largest loss first, and a gate that would hold it."""
    name = evaluation.primary
    known = [part for part in evaluation.robustness if name in part.usual and name in part.metrics]
    rows = [
        {
            "shift": part.shift,
            "words": part.words,
            "columns": part.columns,
            "rows": part.rows,
            "usual": part.usual[name],
            "under": part.metrics[name],
            "difference": part.metrics[name] - part.usual[name],
            "loss": improvement(name, part.usual[name], part.metrics[name]),
            "gate": f"{name}{UNDER}{part.shift} = {{ {_floor(name, part.metrics[name])} }}",
        }
        for part in known
    ]
    return sorted(rows, key=lambda row: -row["loss"])


def _floor(name: str, value: float) -> str:
    """A limit a little below what is reached, as a model file says it: as a start, to be thought over."""
    if name in LOWER_IS_BETTER:
        return f"max = {value * 1.05:.3g}"
    return f"min = {np.floor(100 * value) / 100:g}"


def _has_texts(evaluation: Evaluation) -> bool:
    """Whether examples are texts, which want wider boxes."""
    parts = (part for mistakes in evaluation.mistakes for example in mistakes.examples for part in example.large)
    return any(part.value is not None and part.value.text and not part.value.drawn for part in parts)


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _slice_metrics(evaluation: Evaluation) -> list[str]:
    """The task's first metrics that the test rows define."""
    return [name for name in METRICS[evaluation.task] if name in evaluation.metrics][:SLICE_METRICS]


def _slice_groups(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Slices by column, each row with the task's first metrics."""
    groups = []
    shown = _slice_metrics(evaluation)
    for column, members in groupby(evaluation.slices, key=lambda part: part.column):
        parts = list(members)
        rows = [{"name": p.name, "rows": p.rows, "metrics": [p.metrics.get(name) for name in shown]} for p in parts]
        groups.append({"column": column, "rows": rows})
    return groups


def _identity(contract: Contract, facts: ReportFacts) -> dict[str, str]:
    """What pins the version down, by name."""
    return {
        "Graph (SHA-256 of model.onnx)": contract.graph_sha256,
        "Snapshot of the data": contract.snapshot,
        "Model file": contract.model_file,
        "Code": contract.code,
        **facts.versions,
    }
