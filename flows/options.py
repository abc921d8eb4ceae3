"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ModelFileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The model file.")]
ModelFilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model files.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The registered model.")]
WhyOption = Annotated[str, typer.Option(metavar="TEXT", help="Goes into the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line, for machines.")]
