"""JSON lines of every shape and state of damage."""

import json
from pathlib import Path

import pytest

from models.errors import InputError
from tasks.data import jsonlines
from tasks.data.sources import peek, resolve
from tests.tasks.data.read import cells, read_all, written


def test_ragged_keys_are_null_and_nested_values_stay(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", '{"a": 1}\n{"b": [1, 2], "a": 2}\n\n{"a": 2.5}\n')
    assert cells(path) == {"a": [1.0, 2.0, 2.5], "b": [None, [1, 2], None]}


def test_mixed_types_become_texts_and_damaged_lines_malformed(tmp_path: Path) -> None:
    path = written(tmp_path / "m.jsonl", '{"a": 1}\n{"a": "x"}\n{"a": \n[1]\n{"a": true}\n')
    (batch,) = read_all(path)
    assert batch.table["a"].to_pylist() == ["1", "x", "true"]
    assert batch.rows.tolist() == [1, 2, 5]
    assert [(bad.row, bad.reason) for bad in batch.malformed] == [(3, "not a JSON object"), (4, "not a JSON object")]


@pytest.mark.parametrize("lines", ["x\n1\n", "x\n", "a,b\n1,2\n"])
def test_json_lines_without_any_object_are_named(tmp_path: Path, lines: str) -> None:
    path = written(tmp_path / "m.jsonl", lines)
    with pytest.raises(InputError, match=r"m\.jsonl: no line is a JSON object with keys"):
        peek(resolve(str(path))[0])
    with pytest.raises(InputError, match=r"m\.jsonl: no line is a JSON object with keys"):
        read_all(path, ["a"])


@pytest.mark.parametrize("lines", ["{}\n", "{}\n{}\n", "x\n{}\n", '{"a": 1}\n{}\n', '{"a": 1}\n{"a": "x"}\n{}\n'])
def test_an_empty_object_is_a_row_without_values_whatever_its_neighbours(tmp_path: Path, lines: str) -> None:
    (batch,) = read_all(written(tmp_path / "m.jsonl", lines), ["a"])
    assert batch.rows[-1] == lines.count("\n")
    assert len(batch.table) == len(batch.rows)
    assert batch.table["a"].to_pylist()[-1] is None


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30 + 1])
def test_whole_numbers_of_many_digits_are_kept_in_json(tmp_path: Path, number: int) -> None:
    path = written(tmp_path / "n.jsonl", f'{{"a": {number}}}\n{{"a": {2**60 + 1}}}\n{{"a": null}}\n')
    assert cells(path)["a"] == [str(number), str(2**60 + 1), None]


def test_whole_numbers_beside_fractions_keep_their_digits_in_json(tmp_path: Path) -> None:
    path = written(tmp_path / "n.jsonl", '{"a": 9007199254740993}\n{"a": 1.5}\n')
    assert cells(path)["a"] == ["9007199254740993", "1.5"]
    large = written(tmp_path / "f.jsonl", '{"a": 1e300}\n{"a": 123456789012345678.5}\n{"a": 1}\n')
    assert cells(large)["a"] == [1e300, 123456789012345678.5, 1.0]


def nested(depth: int) -> str:
    return json.dumps({"b": 0})[:-2] + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_a_line_that_is_nested_too_deeply_is_malformed_and_ends_nothing(tmp_path: Path) -> None:
    objects = '{"b": ' * 200 + "1" + "}" * 200
    text = json.dumps({"b": "[" * 300 + '\\"' + "{" * 300})
    wide = json.dumps({"b": [[1]] * 300})
    lines = ['{"a": 1}', nested(100_000), objects, text, wide, nested(100), nested(101), "[" * 100_000]
    (batch,) = read_all(written(tmp_path / "d.jsonl", "\n".join([*lines, ""])), ["a"])
    assert batch.rows.tolist() == [1, 4, 5, 6]
    assert [(bad.row, bad.reason) for bad in batch.malformed] == [(n, "nested too deeply") for n in (2, 3, 7, 8)]


def test_half_of_a_character_is_malformed_in_json(tmp_path: Path) -> None:
    lines = ['{"a": "\\ud800"}', '{"a": "\\ude00"}', '{"a": "\\ud83d\\ude00"}', '{"\\uD800": 1}', '{"a": "x"}']
    (batch,) = read_all(written(tmp_path / "s.jsonl", "\n".join([*lines, ""])))
    assert batch.table["a"].to_pylist() == ["\U0001f600", "x"]
    assert [(bad.row, bad.reason) for bad in batch.malformed] == [(n, "holds half of a character") for n in (1, 2, 4)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("chunk", [64, 1 << 23])
def test_json_lines_in_other_encodings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, chunk: int
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", chunk)
    texts = ["plain"] * 5 + ["größe é"] * 3 + ["plain"]
    path = tmp_path / "e.jsonl"
    path.write_bytes("".join(json.dumps({"a": t}, ensure_ascii=False) + "\n" for t in texts).encode(encoding))
    assert [text for batch in read_all(path) for text in batch.table["a"].to_pylist()] == texts


def test_json_lines_in_a_damaged_encoding_are_named(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_bytes('{"a": 1}\n'.encode("utf-16") + b"\x00")
    with pytest.raises(InputError, match=r"e\.jsonl: looks like utf-16 and can't be read so"):
        read_all(tmp_path / "e.jsonl")


def test_json_chunks_keep_numbers_and_fill_absent_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 40)
    lines = [json.dumps({"a": i, "b": "x"} if i < 4 else {"a": i}) for i in range(20)]
    batches = read_all(written(tmp_path / "c.jsonl", "\n".join(lines)), ["a", "b"])
    assert len(batches) > 3
    assert [int(row) for batch in batches for row in batch.rows] == list(range(1, 21))
    assert all(batch.table.column_names == ["a", "b"] for batch in batches)


def test_many_json_rows_are_cut_into_batches_with_their_malformed_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "BATCH_ROWS", 4)
    lines = ['{"a": 1}'] * 10
    lines[1] = lines[6] = lines[9] = "broken"
    batches = read_all(written(tmp_path / "c.jsonl", "\n".join(lines) + "\n"))
    assert [batch.rows.tolist() for batch in batches] == [[1, 3, 4, 5], [6, 8, 9]]
    assert [[bad.row for bad in batch.malformed] for batch in batches] == [[2], [7, 10]]
