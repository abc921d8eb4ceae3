from pathlib import Path

import pytest

from models.contract import read_contract
from models.errors import InputError, OutsideError
from tasks.registry import versions
from tasks.registry.connection import connect
from tasks.registry.versions import Version, contract_of, list_versions, require_model, resolve
from tests.conftest import Copy, Small


@pytest.mark.parametrize(
    "named", ["small", "models:/small", "small@champion", "models:/small@champion", "small/1", "models:/small/1"]
)
def test_every_way_to_name_a_version(small: Small, named: str) -> None:
    found = resolve(named)
    assert (found.model, found.number, found.uri) == ("small", "1", "models:/small/1")


def test_a_version_knows_what_it_was_made_from(small: Small) -> None:
    found = resolve("small")
    assert found.run_id == small.run_id
    assert {"artifact.sha256", "data.digest", "model_file.digest", "code.digest", "parity"} <= set(found.tags)
    assert found.aliases == ("champion",)


def test_a_contract_is_read_without_the_graph(small: Small) -> None:
    assert contract_of(resolve("small")) == read_contract(small.downloaded)


def test_a_version_without_a_contract_says_so(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_others(version: Version, folder: Path, name: str = "") -> Path:
        if name:
            raise OutsideError("no such artefact")
        return tmp_path

    monkeypatch.setattr(versions, "download", of_others)
    with pytest.raises(InputError, match=r"^models:/small/1 .*contract"):
        contract_of(resolve("small"))


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("smal", "smal: no such model; did you mean 'small'?"),
        ("o'brien", "o'brien: no such model"),
        ("small/99", "small: has no version 99; `perennial history small` lists them"),
        ("small@previous", "small: has no alias 'previous'; there is champion"),
        ("a/b/c", "a/b/c: not a model; give NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI"),
        ("", ": not a model"),
        ("models:/", "not a model"),
    ],
)
def test_what_does_not_exist_is_named(small: Small, named: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        resolve(named)
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_an_unknown_model_is_answered_with_the_known_ones(small: Small) -> None:
    with pytest.raises(InputError, match=r"^nobody-like-it: no such model; there are '"):
        require_model("nobody-like-it")


def test_a_model_with_a_quote_in_its_name_is_found(small: Small) -> None:
    connect().create_registered_model("o'hara")
    assert list_versions("o'hara") == []
    with pytest.raises(InputError, match="o'hara: has no champion yet"):
        resolve("o'hara")


def test_a_new_version_waits_as_challenger_and_is_listed_first(copy: Copy) -> None:
    copy("versions-two")
    copy("versions-two")
    found = list_versions("versions-two")
    assert [v.number for v in found] == ["2", "1"]
    assert [v.aliases for v in found] == [("challenger",), ()]


def test_no_champion_yet_is_a_plain_line(copy: Copy) -> None:
    copy("versions-waiting")
    with pytest.raises(InputError, match=r"has no champion yet; `perennial promote versions-waiting`"):
        resolve("versions-waiting")


def test_a_store_that_returns_other_bytes_stops_the_registration(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    real = versions.mlflow.artifacts.download_artifacts

    def damaged(uri: str, dst_path: str) -> str:
        path = Path(real(uri, dst_path=dst_path))
        path.write_bytes(path.read_bytes()[:-1])
        return str(path)

    monkeypatch.setattr(versions.mlflow.artifacts, "download_artifacts", damaged)
    with pytest.raises(OutsideError, match="the artefact store returned other bytes than were uploaded"):
        copy("versions-damaged")
    assert list_versions("versions-damaged") == []


def test_versions_of_an_unknown_model_are_none() -> None:
    assert list_versions("never-registered") == []
