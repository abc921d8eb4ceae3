"""Rows that are delivered to tables: each parcel once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from models.errors import InputError, OutsideError
from tasks.actions.tabletarget import open_table
from tests.servers import PostgresServer

ROWS = pa.table({"row": [1, 2], "label": ["refund", 'O\'Hara "x"']})


def test_a_parcel_arrives_once_in_sqlite(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'shop.db'}#refunds"
    for shard in ("a-0", "a-1", "a-0"):
        with open_table(address) as table:
            table.append(ROWS, "run", shard)
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("SELECT row, label FROM refunds ORDER BY rowid").fetchall() == [
            (1, "refund"), (2, "O'Hara \"x\""), (1, "refund"), (2, "O'Hara \"x\""),
        ]  # fmt: skip


def test_a_parcel_arrives_once_in_postgresql(postgres_server: PostgresServer) -> None:
    address = f"{postgres_server.uri}#acted"
    for run in ("one", "two", "one"):
        with open_table(address) as table:
            table.append(ROWS, run, "a-0")
    assert postgres_server.psql("SELECT count(*), max(label) FROM acted") == "4|refund"
    postgres_server.psql("DROP TABLE acted, perennial_deliveries")


def test_runs_that_make_one_table_at_once_do_not_collide(postgres_server: PostgresServer) -> None:
    def deliver(table: str, run: str) -> None:
        with open_table(f"{postgres_server.uri}#{table}") as opened:
            opened.append(ROWS, run, "a-0")

    for table in (f"acted-{i}" for i in range(5)):
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(deliver, table, run) for run in "abcd"]:
                done.result()
        assert postgres_server.psql(f'SELECT count(*) FROM "{table}"') == "8"
        postgres_server.psql(f'DROP TABLE "{table}", perennial_deliveries')


def test_rows_that_do_not_fit_are_refused_and_can_come_again(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'shop.db'}#refunds"
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE refunds (other text)")
    with pytest.raises((InputError, OutsideError)), open_table(address) as table:
        table.append(ROWS, "run", "a-0")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("DROP TABLE refunds")
    with open_table(address) as table:
        table.append(ROWS, "run", "a-0")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("SELECT count(*) FROM refunds").fetchone() == (2,)
