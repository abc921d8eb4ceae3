"""Tables under another spelling of their name are still the same tables."""

from pathlib import Path

import pytest

from models.errors import InputError, OutsideError
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.verifytable import verify_table
from tests.servers import PostgresServer
from tests.tasks.scoring.in_databases import fill_postgres, fill_sqlite, of_sqlite, rows_with_rejects, score_rows


def test_an_input_is_not_replaced_under_another_spelling(predictor: Predictor, tmp_path: Path) -> None:
    source = fill_sqlite(tmp_path / "a.db", "customers", rows_with_rejects(20))
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    same = source.replace("#customers", "#Customers")
    for output in (same, f"sqlite:///{tmp_path / 'link.db'}#customers"):
        with pytest.raises(InputError, match=r"a\.db#customers: is an input and would be replaced"):
            score_rows(predictor, [source], output, overwrite=True)
        with pytest.raises(
            InputError, match=r"'[Cc]ustomers' exists already; choose another table or pass --overwrite"
        ):
            score_rows(predictor, [source], output)
    assert len(of_sqlite(tmp_path / "a.db", "SELECT * FROM customers")) == 20


def test_an_output_of_sqlite_is_the_same_in_capitals(predictor: Predictor, tmp_path: Path) -> None:
    source, output = fill_sqlite(tmp_path / "a.db", "in", rows_with_rejects(20)), f"sqlite:///{tmp_path / 'o.db'}#Out"
    (tmp_path / "link.db").symlink_to(tmp_path / "o.db")
    score_rows(predictor, [source], output)
    same = f"sqlite:///{tmp_path / 'link.db'}#oUT"
    with pytest.raises(InputError, match="'oUT' exists already; choose another table or pass --overwrite"):
        score_rows(predictor, [source], same)
    assert verify_table(same) == []
    with claimed(wanted_output(output), True), pytest.raises(OutsideError, match="writes to it now"):
        score_rows(predictor, [source], same, overwrite=True)
    score_rows(predictor, [source], same, overwrite=True)
    assert len(of_sqlite(tmp_path / "o.db", "SELECT * FROM perennial_ledger WHERE shard = ''")) == 1
    assert verify_table(output) == []


def test_a_ledger_of_before_is_found(predictor: Predictor, tmp_path: Path) -> None:
    source, output = fill_sqlite(tmp_path / "a.db", "in", rows_with_rejects(20)), f"sqlite:///{tmp_path / 'a.db'}#Out"
    score_rows(predictor, [source], output)
    wanted = wanted_output(output)
    with claimed(wanted, True) as sink:
        sink._connection.cursor().execute("UPDATE perennial_ledger SET output = 'Out'")  # type: ignore[attr-defined]
        sink._connection.commit()  # type: ignore[attr-defined]
    assert verify_table(output) == []


def test_an_input_of_postgresql_is_the_same_with_its_schema_and_by_another_address(
    predictor: Predictor, postgres_server: PostgresServer
) -> None:
    source = fill_postgres(postgres_server, "in30", rows_with_rejects(20))
    elsewhere = postgres_server.uri.replace("127.0.0.1", "localhost")
    for output in (source.replace("#", "#public."), f"{elsewhere}#in30"):
        with pytest.raises(InputError, match=r"#in30: is an input and would be replaced"):
            score_rows(predictor, [source], output, overwrite=True)
        with pytest.raises(InputError, match=r"in30: is an input and would be replaced"):
            score_rows(predictor, [output], source, overwrite=True)
    fill_postgres(postgres_server, "IN30", rows_with_rejects(20))
    assert score_rows(predictor, [source], f"{postgres_server.uri}#IN30", overwrite=True).rows == 20


def test_a_table_of_another_schema_on_the_search_path_stays(
    predictor: Predictor, postgres_server: PostgresServer
) -> None:
    source = fill_postgres(postgres_server, "in31", rows_with_rejects(20))
    postgres_server.psql("CREATE SCHEMA IF NOT EXISTS first; CREATE TABLE public.out31 AS SELECT 1 AS kept")
    first = postgres_server.uri + "?options=-csearch_path%3Dfirst,public"
    score_rows(predictor, [source], f"{first}#out31")
    assert postgres_server.psql("SELECT kept FROM public.out31") == "1"
    assert postgres_server.psql("SELECT count(*) FROM first.out31") == "18"


@pytest.mark.parametrize("name", ["perennial_ledger", "Perennial_Ledger", "perennial_deliveries"])
def test_what_keeps_the_ledger_is_no_output(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="in this table Perennial keeps what is done; choose another one"):
        wanted_output(f"sqlite:///{tmp_path / 'a.db'}#{name}")
