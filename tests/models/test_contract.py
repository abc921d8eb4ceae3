"""The contract comes back as it was written, and damage or a later format is named."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from models.columns import KINDS
from models.contract import CONTRACT_FILE, Contract, ContractColumn, SplitSpec, read_contract, write_contract
from models.errors import InputError


def column(kind: str, values: pa.Array, **given: object) -> ContractColumn:
    settings = KINDS[kind].settings(**given)
    return ContractColumn(name=kind, settings=settings, statistics=KINDS[kind].fit([values], settings))


def contract() -> Contract:
    return Contract(
        name="m",
        task="binary",
        target="y",
        columns=(
            column("number", pa.array([1.0, 2.0, None]), min=0),
            column("category", pa.array(["u", "u", "v"]).dictionary_encode(), sensitive=True),
            column("boolean", pa.array([True, None, False])),
            column("datetime", pa.array([0, 1], pa.timestamp("us", tz="UTC")), timezone="Europe/Berlin"),
        ),
        missing=("?",),
        classes=("no", "yes"),
        threshold=0.5,
        split=SplitSpec(rule="hash", columns=("k",), validation=0.1, test=0.2, sources={"a.csv": "test"}),
        snapshot="s",
        model_file="f",
        code="c",
        graph_sha256="g",
    )


def test_a_contract_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_contract(contract(), tmp_path)
    assert read_contract(tmp_path) == contract()
    assert read_contract(tmp_path).sensitive == {"category"}


def test_sensitive_columns_besides_features_come_back_and_older_contracts_have_none(tmp_path: Path) -> None:
    path = write_contract(contract().model_copy(update={"sensitive_columns": ("ssn",)}), tmp_path)
    assert read_contract(tmp_path).sensitive == {"category", "ssn"}
    older = json.loads(path.read_text())
    del older["sensitive_columns"]
    path.write_text(json.dumps(older))
    assert read_contract(tmp_path) == contract()


@pytest.mark.parametrize("classes", [("a", "b"), (1, 2), (False, True)])
def test_classes_keep_their_type(tmp_path: Path, classes: tuple[str | int | bool, ...]) -> None:
    write_contract(contract().model_copy(update={"classes": classes}), tmp_path)
    read = read_contract(tmp_path).classes
    assert read == classes and [type(name) for name in read] == [type(name) for name in classes]


def test_damage_and_later_formats_are_named(tmp_path: Path) -> None:
    path = write_contract(contract(), tmp_path)
    raw = json.loads(path.read_text())
    cases = {
        json.dumps({**raw, "format_version": 99}): "format version 99 is newer",
        json.dumps({**raw, "task": "magic"}): "damaged contract",
        json.dumps({**raw, "columns": [{**raw["columns"][0], "settings": {"kind": "magic"}}]}): "damaged contract",
        json.dumps([raw]): "damaged contract",
        json.dumps({"name": "m"}): "damaged contract",
        path.read_text()[:100]: "damaged contract",
    }
    for text, message in cases.items():
        path.write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            read_contract(tmp_path)
        assert "\n" not in str(caught.value) and CONTRACT_FILE in str(caught.value)


def test_a_folder_without_a_contract_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no contract beside the graph"):
        read_contract(tmp_path)
