"""Secrets of deployed runs: they stay in blocks of the Prefect server until a worker starts a run."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.utilities.templating import resolve_block_document_references

from models.modelfile import read_model_file
from tests.small import cli, plain, write_model

CANARY = "canary-of-blocks-93"


def test_a_run_gets_what_the_deployment_only_names(server: str, tmp_path: Path) -> None:
    Secret(value=CANARY).save("plant-password", overwrite=True)  # type: ignore[arg-type]
    file = write_model(tmp_path, "secretive", rest='[secrets]\nPGPASSWORD = "plant-password"\n')
    said = cli("deploy", file)
    assert said.code == 0 and CANARY not in said.both, said.both
    with get_client(sync_client=True) as client:
        there = client.read_deployment_by_name("score/secretive")
    assert CANARY not in json.dumps(there.model_dump(mode="json"))
    assert there.job_variables["env"]["PGPASSWORD"] == "{{ prefect.blocks.secret.plant-password }}"

    async def as_a_worker_does() -> dict[str, str]:
        async with get_client() as client:
            found = await resolve_block_document_references(there.job_variables, client=client)
            return dict(found["env"])

    assert asyncio.run(as_a_worker_does())["PGPASSWORD"] == CANARY
    assert set(re.findall(r"unchanged|changed|new", cli("deploy", file, "--dry-run").out)) == {"unchanged"}


def test_a_block_that_is_not_there_is_one_plain_line(server: str, tmp_path: Path) -> None:
    file = write_model(tmp_path, "secretless", rest='[secrets]\nPGPASSWORD = "no-such"\n')
    plain(cli("deploy", file), 2, f"{file}: secrets.PGPASSWORD", "no block secret/no-such", "make it")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('"PG PASSWORD" = "x"', "'PG PASSWORD' names no variable"),
        ('PGPASSWORD = "My Block"', "'My Block' names no block"),
    ],
)
def test_names_that_can_not_be_are_plain_lines(tmp_path: Path, line: str, told: str) -> None:
    file = write_model(tmp_path, "wrong", rest=f"[secrets]\n{line}\n")
    plain(cli("train", file), 2, told)


def test_where_secrets_are_is_no_reason_to_train_again(tmp_path: Path) -> None:
    file = write_model(tmp_path, "same")
    before = read_model_file(file).digest()
    file.write_text(file.read_text() + '\n[secrets]\nTOKEN = "a-block"\n')
    assert read_model_file(file).digest() == before
