"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.training.engine import EngineName


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"perennial {version('perennial')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", help="Say which release this is, and stop.", callback=_say_version, is_eager=True)
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show tracebacks, warnings and log lines; works with every command.")
]
ModelFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The model file.")]
ModelFilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model files.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")]
WhyOption = Annotated[str, typer.Option(metavar="TEXT", help="Goes into the history.")]
ApproveOption = Annotated[
    str | None,
    typer.Option("--approve", metavar="REASON", help="Approve what the gates let through, where that is asked for."),
]
RejectOption = Annotated[
    str | None, typer.Option("--reject", metavar="REASON", help="Refuse the version, whatever its gates say.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line, for machines.")]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Start anew instead of going on with an interrupted training.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say rows, parameters and expected time, and stop.")]
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", metavar="local|ray", help="Train in this process alone, or on workers that Ray starts."),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        metavar="N", help="With ray: processes that share each batch. A training goes on with as many as it began with."
    ),
]
AddressOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="With ray: a cluster that runs already, instead of one here.")
]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Remove it, instead of only showing what would go.")]
OlderThanOption = Annotated[
    float, typer.Option("--older-than", metavar="DAYS", min=0, help="Keep everything that is younger, needed or not.")
]
KeepVersionsOption = Annotated[
    int, typer.Option("--keep-versions", metavar="N", min=0, help="Newest versions without an alias to keep per model.")
]
NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Only these models.")]
