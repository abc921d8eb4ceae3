"""The text of a model file: TOML with comments for a person who sees one for the first time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from models.columns.kind import LargeSettings
from models.modelfile import LOWER_IS_BETTER
from models.sections import Task
from tasks.data.observe import Observed
from tasks.data.proposedsplit import ProposedSplit
from tasks.data.sequences import GAP, Rhythm

SHOWN_CLASSES = 5
BESIDE = "beside a file, which is to speak for itself"
"""Why a column is left out that stands beside pictures or recordings."""
REPEATED = "rows repeat a time of their group and will be rejects"


@dataclass(frozen=True)
class Gates:
    """The metric that is gated first, its floor, and why the floor is where it is."""

    metric: str
    floor: float
    reason: str


def quoted(text: str) -> str:
    """The text as a TOML string: quotes and control characters escaped, letters of any language kept."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def render(
    *,
    name: str,
    sources: Sequence[tuple[str, str | None]],
    target: str,
    task: Task,
    classes: Sequence[tuple[str, int]],
    features: Mapping[str, Observed],
    suspects: set[str],
    missing: Sequence[str],
    rhythm: Rhythm | None,
    split: ProposedSplit,
    others: Sequence[str],
    gates: Gates,
) -> str:
    """The whole model file."""
    sections = [
        [f"name = {quoted(name)}"],
        *([_line("[[sources]]", ""), *_source(uri, part)] for uri, part in sources),
        ["[target]", *_target(target, task, classes)],
        ["[columns]", *_columns(features, suspects)],
        *([_missing(missing)] if missing else []),
        *([_series(rhythm)] if rhythm else []),
        ["[split]", *_split(split, others)],
        ["[gates]", *_gates(gates)],
        ["# [schedule]", '# retrain = "0 3 * * *"    # cron: each night at three'],
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _line(text: str, comment: str) -> str:
    return f"{text}    # {_flat(comment)}" if comment else text


def _flat(comment: str) -> str:
    """A comment on one line, without the control characters that TOML forbids."""
    return "".join(letter if letter.isprintable() else " " for letter in comment)


def _setting(key: str, value: str | float) -> str:
    return f"{key} = {_value(value)}"


def _value(value: str | float | Sequence[int]) -> str:
    if isinstance(value, str):
        return quoted(value)
    return f"{value:g}" if isinstance(value, int | float) else f"[{', '.join(map(str, value))}]"


def _source(uri: str, part: str | None) -> list[str]:
    return [f"uri = {quoted(uri)}", *([f"split = {quoted(part)}"] if part else [])]


def _target(target: str, task: Task, classes: Sequence[tuple[str, int]]) -> list[str]:
    lines = [f"column = {quoted(target)}", f"kind = {quoted(task)}"]
    if task == "regression":
        return lines
    shown = ", ".join(f"{name}: {count}" for name, count in classes[:SHOWN_CLASSES])
    more = f" and {len(classes) - SHOWN_CLASSES} more" if len(classes) > SHOWN_CLASSES else ""
    if task == "multiclass":
        return [*lines, _line("", f"classes and their rows: {shown}{more}").strip()]
    return [
        *lines,
        _line(f"positive = {quoted(classes[0][0])}", f"rows: {shown}"),
        "# cost = { false_alarm = 1, miss = 5 }    # what a wrong decision costs; sets the threshold",
    ]


def _columns(features: Mapping[str, Observed], suspects: set[str]) -> list[str]:
    lines = []
    used = [found for found in features.values() if not found.left_out]
    if any(found.settings.kind == "number" for found in used) or not any(
        isinstance(found.settings, LargeSettings) for found in used
    ):
        lines.append('# A range makes rejects of what lies outside: { kind = "number", min = 0, max = 120 }.')
    if any(found.left_out == BESIDE for found in features.values()):
        lines.append(
            "# Files are to speak for themselves; take the # away from a column that helps and is known when scoring."
        )
    if suspects:
        lines.append("# Flags marked with ! stand beside flags that leak: are they known before the target is?")
    return lines + [_column(name, found, name in suspects) for name, found in features.items()]


def _column(name: str, found: Observed, suspect: bool) -> str:
    settings = found.settings.model_dump(exclude_unset=True)
    table = ", ".join(f"{key} = {_value(value)}" for key, value in {"kind": found.settings.kind, **settings}.items())
    value = quoted(found.settings.kind) if not settings else f"{{ {table} }}"
    if found.left_out:
        return _line(f"# {quoted(name)} = {value}", found.left_out)
    return _line(f"{quoted(name)} = {value}", ("! " if suspect else "") + _describe(found))


def _describe(found: Observed) -> str:
    missing = f", {found.missing / len(found.values):.1%} missing" if found.missing else ""
    if found.remark:
        return f"{found.remark}{missing}"
    if pa.types.is_floating(found.values.type) or pa.types.is_timestamp(found.values.type):
        ends = pc.min_max(found.values).as_py()
        low, high = ends["min"], ends["max"]
        shown = (
            (f"{low:g}", f"{high:g}")
            if pa.types.is_floating(found.values.type)
            else (f"{low:%Y-%m-%d}", f"{high:%Y-%m-%d}")
        )
        return f"{shown[0]} to {shown[1]}{missing}"
    what = "texts" if found.settings.kind == "text" else "values"
    return f"{found.distinct} {what}{missing}"


def _series(rhythm: Rhythm) -> list[str]:
    """How rows become windows."""
    usual = f"a usual step is {rhythm.step:g}"
    gaps = f"{rhythm.gaps} steps are longer: then a new series begins; {usual}" if rhythm.gaps else usual
    repeated = f"; {rhythm.repeated} {REPEATED}" if rhythm.repeated else ""
    fewest = f"rows that the model sees, and that a group must have; nearly all have {rhythm.shortest} or more"
    if rhythm.cases and rhythm.window == rhythm.shortest:
        fewest = "rows that the model sees: whole groups, as all rows of one have the same target"
    return [
        "[series]",
        _line(f"group = {quoted(rhythm.group)}", f"{rhythm.groups} of them; no window holds rows of two"),
        _line(f"time = {quoted(rhythm.time)}", f"by which the rows of a group are sorted{repeated}"),
        *([f"time_format = {quoted(rhythm.time_format)}"] if rhythm.time_format else []),
        _line(f"window = {rhythm.window}", fewest),
        _line(f"# max_gap = {GAP * rhythm.step:g}", gaps),
    ]


def _split(split: ProposedSplit, others: Sequence[str]) -> list[str]:
    """The rule, and others that a person may want."""
    lines = [f"# {split.reason}", *(_setting(key, value) for key, value in split.keys.items())]
    return lines + [
        _line(f"# group = {quoted(name)}", "so that the model is judged on values of it that it has never met")
        for name in others
    ]


def _missing(marks: Sequence[str]) -> list[str]:
    return ["[data]", f"missing = [{', '.join(quoted(mark) for mark in marks)}]"]


def _gates(gates: Gates) -> list[str]:
    bound = "max" if gates.metric in LOWER_IS_BETTER else "min"
    return [
        f"# {gates.reason}; margin is how much worse than the champion is still accepted.",
        f"{gates.metric} = {{ {bound} = {gates.floor:g}, margin = 0.01 }}",
        "# latency_p99_ms = { max = 5 }",
        "# size_mb = { max = 10 }",
    ]
