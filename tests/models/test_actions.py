"""The [[actions]] of a model file: all problems at once, no secrets, and a contract that carries them."""

import json
from pathlib import Path

import pytest

from models.actions import Action, action_problems
from models.contract import FORMAT_VERSION, read_contract, write_contract
from models.modelfile import ModelFile
from tests.contracts import contract_of
from tests.models.written import problems, read

MODEL = """
name = "m"
[[sources]]
uri = "data.csv"
[target]
column = "y"
[columns]
x = "number"
"""
REFUND = """
[[actions]]
name = "refund"
when = 'label == "refund" and probability >= 0.9'
to = "http://127.0.0.1:8181/refunds"
"""


def place_problems(tmp_path: Path, place: str, more: str = "") -> list[str]:
    return problems(tmp_path, f"{MODEL}[[actions]]\nname = 'a'\nwhen = 'value > 1'\nto = {json.dumps(place)}\n{more}")


def test_every_key_of_an_action_but_three_has_a_default(tmp_path: Path) -> None:
    (action,) = read(tmp_path, MODEL + REFUND).actions
    assert (action.columns, action.retries, action.timeout, action.token_env) == (None, 5, 10.0, None)
    assert action.carriage == "http"


@pytest.mark.parametrize(
    ("given", "placed", "carriage"),
    [
        ("out/urgent", "{here}/out/urgent", "folder"),
        ("/data/urgent", "/data/urgent", "folder"),
        ("s3://bucket/urgent", "s3://bucket/urgent", "folder"),
        ("HTTPS://shop.example/refunds", "HTTPS://shop.example/refunds", "http"),
        ("postgresql://bot@db/shop#public.refunds", "postgresql://bot@db/shop#public.refunds", "table"),
        ("sqlite:///shop.db#refunds", "sqlite:///{here}/shop.db#refunds", "table"),
        ("sqlite:////data/shop.db#refunds", "sqlite:////data/shop.db#refunds", "table"),
    ],
)
def test_a_relative_place_begins_at_the_model_file(tmp_path: Path, given: str, placed: str, carriage: str) -> None:
    (action,) = read(tmp_path, MODEL + REFUND.replace("http://127.0.0.1:8181/refunds", given)).actions
    assert (action.to, action.carriage) == (placed.format(here=tmp_path), carriage)


def test_all_problems_of_all_actions_are_said_at_once(tmp_path: Path) -> None:
    text = f"""
    {REFUND}
    [[actions]]
    name = "refund"
    wen = "x"
    to = "ftp://host/x"
    [[actions]]
    name = "no spaces"
    when = "label = 3"
    to = "out"
    columns = ["message_id", "row"]
    retries = -1
    [[actions]]
    name = "table"
    when = "value > 1"
    to = "sqlite:///shop.db"
    timeout = 3
    """
    told = problems(tmp_path, MODEL + text)
    for words in (
        "actions: 2 are called 'refund'; rename all but one",
        "actions.1.wen: unknown key; did you mean 'when'?",
        "actions.1.when: missing",
        "actions.2.name: use letters, digits",
        "actions.2.when: not a condition",
        "actions.2.columns: 'row' goes along by itself; remove it",
        "actions.2.retries: input should be greater than or equal to 0",
        "actions.3: to: name the table behind a '#', as in sqlite:///shop.db#refunds; "
        "timeout: for http(s) addresses only; remove it",
    ):
        assert any(words in line for line in told), (words, told)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("", "to: give a folder, an http(s) address, or a database and its table"),
        ("https://", "to: the address names no host"),
        ("postgresql://#t", "to: the address names no host"),
        ("http://a..b/x", "to: no host can be called so"),
        (f"https://{'a' * 64}.example/x", "to: no host can be called so"),
        ("https://[::1/x", "to: not an address; look at its brackets and port"),
        ("https://shop:eighty/x", "to: not an address; look at its brackets and port"),
        ("sqlite://shop.db#t", "to: give a file behind three strokes, as in sqlite:///shop.db#refunds"),
        ("sqlite:///shop.db#t; drop", "to: name the table behind a '#'"),
        ("sqlite:///shop.db#Perennial_Ledger", "to: the table Perennial_Ledger tells what was done"),
        ("postgresql://db/shop#acts.perennial_deliveries", "to: the table acts.perennial_deliveries tells what was"),
        ("mysql://db/shop#t", "to: 'mysql' is no place that rows go to; known are http, https, s3"),
    ],
)
def test_a_place_that_leads_nowhere_is_told(tmp_path: Path, place: str, told: str) -> None:
    assert any(told in line for line in place_problems(tmp_path, place))


@pytest.mark.parametrize(
    "place",
    [
        "https://bot:hunter2@shop.example/refunds",
        "https://hunter2@shop.example/refunds",
        "postgresql://bot:hunter2@db/shop#refunds",
        "postgresql://db/shop?password=hunter2#refunds",
        "s3://key:hunter2@bucket/urgent",
        "https://shop.example/refunds?api_key=hunter2",
        "abfs://container/x?sig=hunter2",
    ],
)
def test_a_place_with_a_secret_is_refused_and_the_secret_not_repeated(tmp_path: Path, place: str) -> None:
    (told,) = place_problems(tmp_path, place)
    assert told.endswith("take it out; credentials come from the environment")
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "name",
    [
        "key", "code", "pwd", "pass", "auth", "sas", "bearer", "credential", "X-Amz-Credential", "sig", "Signature",
        "X-Amz-Security-Token", "token", "client_secret", "sslpassword", "Subscription-Key", "c%6Fde", "a=1;code",
    ],
)  # fmt: skip
def test_usual_names_of_secrets_are_known(tmp_path: Path, name: str) -> None:
    (told,) = place_problems(tmp_path, f"https://shop.example/refunds?region=eu&{name}=hunter2")
    assert "the address holds a secret behind its '?'" in told and "hunter2" not in told


def test_ordinary_settings_stay_in_an_address(tmp_path: Path) -> None:
    place = "https://shop.example/refunds?region=eu&version=2&api-version=1&keyword=a&author=b&zip_code=8000&compass=n"
    (action,) = read(tmp_path, MODEL + REFUND.replace("http://127.0.0.1:8181/refunds", place)).actions
    assert action.to == place


def test_a_token_in_place_of_its_variable_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (told,) = place_problems(tmp_path, "https://shop.example/x", "token_env = 'ghp_hunter2'")
    assert "token_env: give the name of an environment variable" in told and "hunter2" not in told
    (told,) = place_problems(tmp_path, "out", "token_env = 'TOKEN'")
    assert told == "actions.0: token_env: for http(s) addresses only; remove it"


def test_conditions_are_held_against_the_classes_by_the_name_of_their_action() -> None:
    actions = [Action(name="refund", when="label == 'refnd' or lable == 'x'", to="out")]
    assert list(action_problems(actions, ("refund", "cancel"))) == [
        "actions.refund.when: no class is 'refnd'; did you mean 'refund'?",
        "actions.refund.when: there is no output 'lable'; did you mean 'label'?",
    ]


def test_a_version_with_other_actions_is_another_version(tmp_path: Path) -> None:
    with_refund, without = read(tmp_path, MODEL + REFUND).digest(), read(tmp_path, MODEL).digest()
    assert with_refund != without
    assert with_refund == read(tmp_path, MODEL + "# a comment\n" + REFUND + "retries = 5\n").digest()


def test_a_contract_carries_the_actions_and_older_ones_have_none(tmp_path: Path) -> None:
    actions = (
        Action(name="refund", when="label == 'a'", to="https://shop.example/x", token_env="TOKEN", columns=("id",)),
        Action(name="keep", when="label == 'b'", to="/data/keep"),
    )
    written = contract_of({}, "binary", classes=("a", "b"), actions=actions)
    path = write_contract(written, tmp_path)
    assert read_contract(tmp_path) == written and FORMAT_VERSION == 3
    older = json.loads(path.read_text())
    del older["actions"]
    path.write_text(json.dumps({**older, "format_version": 2}))
    assert read_contract(tmp_path).actions == ()


def test_a_model_file_comes_back_from_json_with_its_actions(tmp_path: Path) -> None:
    model_file = read(tmp_path, MODEL + REFUND + "[[actions]]\nname = 'keep'\nwhen = 'probability > 0'\nto = 'keep'\n")
    assert ModelFile.model_validate_json(model_file.model_dump_json()) == model_file
