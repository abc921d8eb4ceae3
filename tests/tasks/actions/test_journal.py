"""A journal survives being cut off at any byte, and says so when something else damaged it."""

import json
from pathlib import Path

import pytest

from models.errors import OutsideError
from tasks.actions.journal import Journal

ENTRIES = [{"key": "a", "rows": 1, "reason": "grün"}, {"key": "b", "rows": 30}, {"key": "c", "rows": 1}]


def test_what_was_added_is_there_in_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    journal = Journal(path)
    journal.append([])
    assert not path.exists()
    journal.append(ENTRIES[:1])
    journal.append(ENTRIES[1:])
    assert journal.rows == Journal(path).rows == {"a": 1, "b": 30, "c": 1}
    assert [json.loads(line) for line in path.read_text().splitlines()] == ENTRIES


def test_a_journal_that_was_cut_off_anywhere_loses_what_was_not_finished_alone(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    Journal(path).append(ENTRIES)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        journal = Journal(path)
        assert list(journal.rows) == ["a", "b", "c"][: whole[:length].count(b"\n")]
        journal.append([{"key": "d", "rows": 1}])
        assert list(Journal(path).rows)[-1] == "d"


def test_zeros_behind_the_last_line_are_what_a_power_cut_leaves(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    Journal(path).append(ENTRIES)
    path.write_bytes(path.read_bytes() + bytes(100))
    assert Journal(path).rows == {"a": 1, "b": 30, "c": 1}


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '"text"', "3"])
def test_a_damaged_line_among_others_is_told(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "receipts.jsonl"
    Journal(path).append(ENTRIES)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], damage, lines[2]]) + "\n")
    with pytest.raises(OutsideError, match="line 2 is damaged; remove it, and what it told is sent again"):
        Journal(path)


def test_only_the_newest_entries_of_some_keys_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    journal = Journal(path)
    journal.append([*ENTRIES, {"key": "b", "rows": 30, "reason": "newer"}])
    journal.keep(frozenset({"b"}))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"key": "b", "rows": 30, "reason": "newer"}]
    assert journal.rows == Journal(path).rows == {"b": 30}
    journal.keep(frozenset())
    assert list(tmp_path.iterdir()) == [] and journal.rows == {}
