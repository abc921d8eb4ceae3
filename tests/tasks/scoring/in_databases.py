"""Tables of rows to score, and what is left in tables, read in other ways than scoring writes them."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from tasks.scoring.inputs import look_at
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import Scores, score_into
from tasks.scoring.spread import Crew
from tests.servers import PostgresServer
from tests.tasks.scoring.scored_files import STAMP, new_rows

COLUMNS = '"id" bigint, "load" text, "heat" double precision, "shop" text, "night" text, "made" text, "changed" bigint'
Fill = Callable[[str, pd.DataFrame], str]


def rows_with_rejects(count: int, seed: int = 5) -> pd.DataFrame:
    """New rows, with two that can't be scored, and a column that grows with each change."""
    frame = new_rows(count, seed).astype({"load": object})
    frame.loc[2, "load"], frame.loc[6, "load"] = "much", 1000
    return frame.assign(changed=range(count))


def fill_postgres(server: PostgresServer, name: str, frame: pd.DataFrame) -> str:
    """A table of the rows, in an order of its own; its URI."""
    server.psql(f'DROP TABLE IF EXISTS "{name}"; CREATE TABLE "{name}" ({COLUMNS})')
    values = ", ".join(
        "(" + ", ".join("NULL" if pd.isna(v) else f"'{v}'" for v in row) + ")"
        for row in frame.sample(frac=1, random_state=0).itertuples(index=False)
    )
    server.psql(f'INSERT INTO "{name}" VALUES {values}')
    return f"{server.uri}#{name}"


def fill_sqlite(path: Path, name: str, frame: pd.DataFrame) -> str:
    """As `fill_postgres`."""
    with closing(sqlite3.connect(path)) as database:
        frame.sample(frac=1, random_state=0).to_sql(name, database, index=False, if_exists="replace")
    return f"sqlite:///{path}#{name}"


def of_sqlite(path: Path, sql: str) -> pd.DataFrame:
    with closing(sqlite3.connect(path)) as database:
        return pd.read_sql(sql, database)


def of_postgres(server: PostgresServer, table: str, columns: str) -> list[tuple[str, ...]]:
    """By psql, in the order of the rows."""
    lines = server.psql(f'SELECT {columns} FROM "{table}" ORDER BY "row"').splitlines()
    return [tuple(line.split("|")) for line in lines]


def score_rows(
    predictor: Predictor, inputs: list[str], output: Path | str, overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda _: None, crew: Crew | None = None, **options: Any,
) -> Scores:  # fmt: skip
    """A run as the flow does it, without Prefect and MLflow."""
    given = Options(**{"key": "id", **options})
    wanted, request = wanted_output(output), Request.of("small/1", inputs, given, None)
    with claimed(wanted, overwrite) as sink:
        sources = look_at(inputs, wanted, asked=given.asked)
        what_is_left(sink, request, sources, overwrite)
        return score_into(sink, predictor, sources, replace(STAMP, run_id=uuid4().hex), request, on_rows, crew=crew)
