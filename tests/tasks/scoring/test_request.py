"""What a run may be asked to do."""

import re
from pathlib import Path

import pytest

from models.errors import InputError
from tasks.data.query import Asked
from tasks.scoring.inputs import look_at
from tasks.scoring.outputs import wanted_output
from tasks.scoring.request import Options, Request
from tests.tasks.scoring.in_databases import fill_sqlite
from tests.tasks.scoring.scored_files import new_rows


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(shard_rows=0), "--shard-rows 0: give 1 or more"),
        (Options(batch_rows=-1), "--batch-rows -1: give 1 or more"),
        (Options(threads=0), "--threads 0: give 1 or more"),
        (Options(max_rejects=-0.1), "--max-rejects -0.1: give a share from 0 to 1"),
        (Options(time="made"), "--time made: is for --since and --until, and neither is given"),
    ],
)
def test_options_out_of_their_range_are_refused_whoever_gives_them(options: Options, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        Request.of("small/1", ["in.csv"], options, None)


def test_no_address_that_is_pinned_holds_a_password() -> None:
    address = "postgresql://me:CANARY@host/db#table"
    asked = Request.of("small/1", [address], Options(new_since=address), None)
    assert "CANARY" not in repr(asked)
    assert asked.options.new_since == asked.inputs[0] == "postgresql://host/db#table"


@pytest.mark.parametrize("given", [{"partitions": ["year=2024"]}, {"known": [{"path": "elsewhere"}]}])
def test_what_is_for_files_is_refused_where_an_input_is_a_database(tmp_path: Path, given: dict[str, list[str]]) -> None:
    uri = fill_sqlite(tmp_path / "in.db", "in", new_rows(5))
    with pytest.raises(InputError, match="--partition and --new-since are for files, and an input is a database"):
        look_at([uri], wanted_output(str(tmp_path / "out")), asked=Asked(key="id"), **given)  # type: ignore[arg-type]
