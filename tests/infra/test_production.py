"""Production as its page describes it: passwords on both servers, PostgreSQL, an object store, a worker, a backup."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.infra.topology import Topology, answer, blocks_of, require_postgresql, topology
from tests.small import ROOT, table, write_model

TOKEN = "canary-token-of-the-clinic"
RUN = "infra/bin/as-client perennial"


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@contextmanager
def clinic() -> Iterator[tuple[str, set[str]]]:
    """An endpoint of actions: its address, and what callers showed in order to be let in."""
    shown: set[str] = set()

    class Called(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            shown.add(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Called)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/calls", shown
    finally:
        server.shutdown()


def prepare(folder: Path, address: str) -> None:
    """The model file and the rows that the page speaks of."""
    acting = f'[[actions]]\nname = "call"\nwhen = "probability >= 0.9"\nto = "{address}"\ntoken_env = "CLINIC_TOKEN"\n'
    write_model(folder, "biopsies", rest=f"[promotion]\nmin_rows = 50\nresamples = 100\n{acting}")
    frame = table(200, seed=5).astype(object)
    frame.loc[2, "load"] = "much"
    frame.drop(columns="broken").to_csv(folder / "new.csv", index=False)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_page_leads_to_a_production_that_keeps_its_secrets_and_survives_its_loss() -> None:
    require_postgresql()
    with clinic() as (address, shown), topology(free_ports(4), CLINIC_TOKEN=TOKEN) as running:
        prepare(running.folder, address)
        running.follow()
        assert_nobody_gets_in_without_a_password(running)
        assert_records_are_where_they_should_be(running)
        assert_predictions_are_right(running.folder / "scored.parquet")
        assert shown == {f"Bearer {TOKEN}"}
        assert_others_may_read(running)
        every_other_flow(running)
        backup = back_up(running)
        assert_secrets_are_nowhere(running, backup)
        lose_everything(running)
        come_back(running)
        running.run(f"{RUN} score biopsies --input new.csv --output again.parquet")
        assert predictions(running.folder / "again.parquet") == predictions(running.folder / "scored.parquet")


def assert_nobody_gets_in_without_a_password(running: Topology) -> None:
    settings = running.settings
    mine, theirs = (f"{settings[f'{who}_USER']}:{settings[f'{who}_PASSWORD']}" for who in ("MLFLOW", "PREFECT"))
    pages = ["", "/api/2.0/mlflow/experiments/search?max_results=5", "/api/2.0/mlflow-artifacts/artifacts", "/signup"]
    for page in pages:
        assert [answer(running.mlflow + page, who) for who in (None, "perennial:guess", theirs)] == [401] * 3, page
    assert answer(running.mlflow + pages[1], mine) == 200
    asked = {"/flow_runs/filter": b"{}", "/deployments/filter": b"{}", "/admin/settings": None, "/admin/version": None}
    for page, body in asked.items():
        assert [answer(running.prefect + page, who, body) for who in (None, "perennial:guess", mine)] == [401] * 3, page
    assert answer(f"{running.prefect}/flow_runs/filter", theirs, b"{}") == 200
    running.run("PGUSER=mlflow PGPASSWORD=guess psql -c 'SELECT 1' mlflow", code=2)
    running.run("PGUSER=mlflow PGPASSWORD=$MLFLOW_DB_PASSWORD psql -c 'SELECT 1' prefect", code=2)


def assert_records_are_where_they_should_be(running: Topology) -> None:
    assert running.psql("mlflow", "SELECT status, count(*) FROM runs GROUP BY status") == "FINISHED|3"
    finished = "SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED' AND deployment_id IS NOT NULL"
    assert running.psql("prefect", finished) == "2"
    assert not list(running.home.rglob("*.db"))
    digest = running.psql("mlflow", "SELECT value FROM model_version_tags WHERE key = 'artifact.sha256'")
    running.run('infra/bin/as-mlflow python infra/objects.py save "$PWD/objects"')
    (graph,) = (running.folder / "objects").rglob("model.onnx")
    assert hashlib.sha256(graph.read_bytes()).hexdigest() == digest
    assert not list(running.home.rglob("model.onnx"))


def predictions(path: Path) -> list[dict[str, object]]:
    """Without what names the run."""
    return pq.read_table(path).drop_columns(["run_id"]).to_pylist()  # type: ignore[no-any-return]


def assert_predictions_are_right(path: Path) -> None:
    found = predictions(path)
    assert len(found) == 199
    truth = dict(zip(range(200), table(200, seed=5)["broken"], strict=True))
    right = [truth[int(str(row["id"]))] == row["label"] for row in found]
    assert sum(right) / len(right) > 0.75


def assert_others_may_read(running: Topology) -> None:
    """A user made as the page says, and addresses under which MLflow is not known."""
    ((_, make),) = blocks_of("Users")
    ada = f"ada:{running.run(make).strip()}"
    running.said.pop()
    page = f"{running.mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
    removal = f"{running.mlflow}/api/2.0/mlflow/registered-models/delete"
    assert answer(page, ada) == 200
    assert answer(removal, ada, b'{"name": "biopsies"}') in (403, 405)
    assert answer(page, ada, host="mlflow.example.org") == 403
    assert answer(page, ada, host="mlflow:5000") == 200


def every_other_flow(running: Topology) -> None:
    """What the page has not done yet, without what those need no server for."""
    for words, code in {
        "train biopsies.toml --fresh": 0,
        "promote biopsies": 0,
        "rollback biopsies": 0,
        "monitor biopsies --input new.csv": 0,
        "gc --apply": 0,
        "deploy biopsies.toml": 0,
        "env": 0,
    }.items():
        running.run(f"{RUN} {words}", code)


def back_up(running: Topology) -> Path:
    (_, commands), _ = blocks_of("Backup and restore")
    running.run(commands)
    (folder,) = running.folder.glob("backup-*")
    return folder


def assert_secrets_are_nowhere(running: Topology, backup: Path) -> None:
    plain = {name: running.run(f"pg_restore --file=- {backup / name}.dump") for name in ("mlflow", "prefect")}
    places = {
        "what commands say": "".join(running.said[: -len(plain)]),
        "the records of MLflow": plain["mlflow"],
        "the state of Prefect": plain["prefect"],
        "the list of processes": repr([process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]),
    }
    sought = dict.fromkeys(places, "biopsies") | {"the list of processes": "postgresql:///mlflow"}
    assert [place for place, word in sought.items() if word not in places[place]] == [], "nothing at all would be found"
    secrets = {**running.secrets, "CLINIC_TOKEN": TOKEN}
    assert len(secrets) == 9
    assert [(name, place) for name, word in secrets.items() for place, text in places.items() if word in text] == []
    folders = (running.home, backup)
    assert [name for name, word in secrets.items() if held(word, folders) or held(word, running.logs())] == []
    (running.home / "leak").write_text(TOKEN)
    assert held(TOKEN, folders) == [running.home / "leak"], "nothing at all would be found"
    assert held("biopsies", running.logs())


def held(word: str, places: Iterable[Path]) -> list[Path]:
    """Files, in folders too, that hold the word."""
    paths = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    return [path for path in paths if path.is_file() and word.encode() in path.read_bytes()]


def lose_everything(running: Topology) -> None:
    running.stop()
    for folder in (running.folder / "stores", running.home):
        shutil.rmtree(folder)


def come_back(running: Topology) -> None:
    """With new passwords of the databases; the schemas are upgraded on the way, and left as they are."""
    running.change(MLFLOW_DB_PASSWORD="another-one", PREFECT_DB_PASSWORD="yet-another-one")
    stores, _, *servers = (commands for how, commands in blocks_of("Natively")[2:7])
    running.start(stores)
    running.wait()
    running.run(blocks_of("Backup and restore")[1][1])
    running.run(blocks_of("Upgrade")[1][1])
    for server in servers[:2]:
        running.start(server)
    running.wait()


def test_the_page_has_no_other_kinds_of_commands() -> None:
    natively, *others = ([how for how, _ in blocks_of(name)] for name in ("Natively", "Backup and restore", "Upgrade"))
    assert natively == ["", "every", "terminal", "", "terminal", "terminal", "terminal", ""]
    assert others == [["", ""], ["", ""]]


def test_the_prefect_server_knows_where_its_pages_are(tmp_path: Path) -> None:
    """Notifications lead there; inside of a container nothing else tells."""
    stand_in = tmp_path / "prefect"
    stand_in.write_text('#!/bin/sh\necho "$PREFECT_UI_URL $PREFECT_SERVER_UI_API_URL"\n')
    stand_in.chmod(0o755)
    example = (ROOT / "infra" / "production.env.example").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    settings |= {name: "x" for name, value in settings.items() if not value}
    settings |= {"PREFECT_PUBLIC_API": "https://prefect.example.org/api", "PERENNIAL_HOME": str(tmp_path / "home")}
    said = subprocess.run(
        [ROOT / "infra" / "bin" / "prefect-server"], env={**settings, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout.split() == ["https://prefect.example.org", "https://prefect.example.org/api"]


def test_each_setting_is_used_and_no_secret_is_in_the_example() -> None:
    example = (ROOT / "infra" / "production.env.example").read_text()
    names = re.findall(r"^(\w+)=", example, re.MULTILINE)
    users = [*(ROOT / "infra" / "bin").iterdir(), ROOT / "infra" / "compose.yaml"]
    used = "".join(path.read_text() for path in users)
    assert [name for name in names if name not in used] == []
    assert [name for name in names if re.search("PASSWORD|SECRET|_KEY$", name) and f"{name}=\n" not in example] == [
        "ARTIFACT_ACCESS_KEY"
    ]
