"""Arguments and options of `perennial score`."""

from typing import Annotated

import typer

from tasks.training.engine import EngineName

Name = Annotated[
    str | None, typer.Argument(metavar="NAME_OR_URI", help="NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI.")
]
Input = Annotated[
    list[str] | None, typer.Option(metavar="DATA", help="A file, folder, glob, or table. May be given several times.")
]
Output = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="A .parquet, .feather, .csv or .jsonl file, a folder of Parquet, or a table."),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Input columns to write along; all but sensitive ones if not given."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Promote = Annotated[bool, typer.Option("--promote", help="Judge a waiting challenger first.")]
Why = Annotated[bool, typer.Option("--why", help="Name the words and columns that mattered most; slow.")]
Also = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A second version to score the same rows with, such as churn@challenger."),
]
MaxRejects = Annotated[
    float, typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Stop when a larger share of rows is rejected.")
]
ShardRows = Annotated[
    int | None, typer.Option(metavar="ROWS", min=1, help="Rows that a kill can lose; about a million if not given.")
]
BatchRows = Annotated[
    int | None, typer.Option(metavar="ROWS", min=1, help="Rows that a thread scores at once; measured if not given.")
]
Threads = Annotated[
    int | None, typer.Option(metavar="COUNT", min=1, help="Threads that score; one for each core if not given.")
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only rows of this date or time, or later.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only rows that are earlier.")]
Time = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="What --since and --until look at; the model's own time if not given."),
]
Partition = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only files in folders of this Hive partition.")
]
NewSince = Annotated[
    str | None, typer.Option(metavar="OUTPUT", help="Leave out files that an earlier output has scored.")
]
Query = Annotated[
    str | None, typer.Option(metavar="SQL", help="Of a database: a SELECT statement whose rows are taken.")
]
Key = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a table or query: unique, orders its rows.")]
VersionColumn = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Of a table or query: grows with each change of a row.")
]
Monitor = Annotated[
    bool, typer.Option("--monitor", help="Compare the rows with those of the training, as a window of its monitoring.")
]
Verify = Annotated[
    str | None,
    typer.Option(
        metavar="OUTPUT",
        help="Check that an output is whole and unchanged (of tables: rows, labels, scores, reasons); score nothing.",
    ),
]
Redeliver = Annotated[
    str | None, typer.Option(metavar="OUTPUT", help="Send an output's dead letters again; score nothing.")
]
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", metavar="local|ray", help="Score in this process alone, or on workers that Ray starts."),
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="With ray: a cluster that runs already, instead of one here.")
]
