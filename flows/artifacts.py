"""What flows show to a person in the Prefect UI."""

from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact

from tasks.registry.promotion import Contest
from tasks.registry.versions import Version
from tasks.scoring.score import Scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.actions.deliver import Delivered
    from tasks.monitoring.drift import Drift
    from tasks.monitoring.window import Window
    from tasks.registry.gates import Verdict

MARKS = {"yes": "✅", "no": "❌", "undecided": "❔", "waiting": "⏳"}


def show_verdict(contest: Contest, verdict: "Verdict") -> None:
    """The verdict as a table, one line a question."""
    against = f"version {contest.champion.number}" if contest.champion else "no champion yet"
    lines = [f"| {MARKS[c.outcome]} | {_cell(c.gate)} | {_cell(c.text)} |" for c in verdict.checks]
    head = f"# {_cell(contest.challenger.model)} v{contest.challenger.number}: {verdict.outcome}\n\nAgainst {against}."
    create_markdown_artifact("\n".join([head, "", "| | gate | finding |", "|---|---|---|", *lines]), key="verdict")


def show_scores(version: Version, second: Version | None, scores: Scores, delivered: "Sequence[Delivered]") -> None:
    """The counts of a scoring run, and what followed from them."""
    rows = [("read", scores.rows), ("scored", scores.scored), ("rejected", scores.rejected)]
    rows += [(f"rejected: {reason}", count) for reason, count in scores.reasons.items()]
    rows += [(f"label {label}", count) for label, count in scores.labels.items()]
    rows += [(f"{act.action}: delivered", act.delivered) for act in delivered]
    rows += [(f"{act.action}: dead letters", act.dead) for act in delivered if act.dead]
    title = f"# Scored with {_cell(version.model)} v{version.number}"
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in scores.phases.items())
    head = f"{title}\n\n{scores.seconds:.1f} s ({phases}, which overlap), into `{scores.predictions}`."
    lines = [f"| {_cell(what)} | {count:,} |" for what, count in rows]
    told = [head, "", "| rows | count |", "|---|---:|", *lines]
    if second:
        beside = [f"| {what} | {value:.4g} |" for what, value in scores.shadow.items()]
        told += ["", f"Beside it {_cell(second.model)} v{second.number}:", "", "| over both | |", "|---|---:|", *beside]
    create_markdown_artifact("\n".join(told), key="scores")


def show_drift(version: Version, window: "Window", drift: "Drift", report: str) -> None:
    """What has drifted in a window, the largest change first."""
    performance = drift.performance
    worse = "".join(f", {each.metric} worse than promised" for each in performance.worse) if performance else ""
    head = f"# {_cell(version.model)} v{version.number}: {len(drift.drifted)} drifted{worse}\n\n{window.rows:,} rows"
    labelled = f", {performance.labelled:,} with labels" if performance else ""
    told = [f"{head}, {window.rejected:,} rejected{labelled}. Report: `{report}`."]
    if drift.drifted:
        lines = [f"| {_cell(c.name)} | {_cell(c.facet)} | {_cell(c.change)} |" for c in drift.drifted]
        told += ["", "| what | of it | change |", "|---|---|---|", *lines]
    if performance:
        figures = [
            f"| {c.metric} | {c.promised.value:.4f} | {c.now.value:.4f}{' (worse)' if c.worse else ''} |"
            for c in performance.compared
        ]
        told += ["", "| metric | promised | now |", "|---|---|---|", *figures]
    create_markdown_artifact("\n".join(told), key="drift")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
