"""The command `perennial import`: a model that was made elsewhere becomes a version."""

from pathlib import Path
from typing import Annotated

import typer

from flows.loading import watched
from flows.options import AsJson
from flows.ready import prefect_ready
from flows.results import ImportedVersion
from flows.screen import rows_line, show

EXAMPLE = "Example: perennial import churn.onnx --spec churn.toml   then: perennial promote churn"

SHOWN = 8
"""Operators that are named."""

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="An ONNX file; or, where the converter is installed, a .keras file, a SavedModel folder, a .pkl or "
        ".joblib file.",
    ),
]
Spec = Annotated[
    Path, typer.Option(metavar="FILE", help="The model file; its section [graph] says how the graph is fed and read.")
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Load a pickled pipeline or a SavedModel, which runs whatever code is in it, as yourself."
    ),
]
MemoryGb = Annotated[
    float | None,
    typer.Option(
        metavar="GB",
        min=0.1,
        help="Memory that the model, or its converter, may take; most of what is free if not given.",
    ),
]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=1, help="How long it may go on without an answer to some rows.")
]


def import_model(
    model: Model,
    spec: Spec,
    trust: Trust = False,
    memory_gb: MemoryGb = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Bring in a model that was trained elsewhere.

    Checks the graph, wraps it so that it takes raw columns, judges it on unseen rows and registers it as challenger.
    """
    with prefect_ready():
        from models.modelfile import read_model_file
        from tasks.importing.confined import Limits
        from tasks.importing.original import look_at

        look_at(model, read_model_file(spec), spec, trust, Limits(timeout, memory_gb))
        from flows.import_model import import_model as flow

    done = watched(flow)(model.resolve(), spec.resolve(), trust, memory_gb, timeout)
    show(done, as_json, [*rows_line(done), *_lines(done)])


def _lines(done: ImportedVersion) -> list[str]:
    """What came in, how good it is, and what to do next."""
    opsets = ", ".join(f"{domain} {version}" for domain, version in done.opsets.items())
    used = ", ".join(f"{name} {count}" for name, count in list(done.operators.items())[:SHOWN])
    more = f" and {len(done.operators) - SHOWN} more" if len(done.operators) > SHOWN else ""
    figures = [f"  {name.replace('_', ' ')}: {value:.4f}" for name, value in done.metrics.items()]
    return [
        f"from {done.framework}: opset {opsets}; operators {used}{more}",
        *(f"note: {note}" for note in done.notes),
        f"answers: {done.recorded}",
        f"{done.model} version {done.version} is imported and waits as challenger; on unseen rows:",
        *figures,
        f"next: perennial promote {done.model}",
    ]
