"""Rows reach an endpoint once each, whatever it answers; what does not is a dead letter with the reason."""

import hashlib
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError, OutsideError, PerennialError
from tasks.actions import deliver as delivering
from tasks.actions.deliver import Delivered, require_tokens
from tasks.actions.journal import Journal, locked
from tasks.examples.refunds import Refunds
from tests.tasks.actions.parcels import RUN, action, lines, parcel, send
from tests.tasks.actions.services import Reply, dripping, faulty, running, scripted

OK: Reply = (200, {}, "")


def test_each_row_is_posted_once_with_all_that_names_it(tmp_path: Path) -> None:
    wanted = parcel(tmp_path, 3)
    with scripted(lambda number, body: OK) as service:
        told = send(action(service.address), wanted)
        again = send(action(service.address), wanted)
    assert told == again == Delivered("refund", 3, 3, 0)
    assert len(service.requests) == 3, "what has a receipt is not sent again"
    key, body = min(service.requests, key=lambda request: str(request[1]["row"]))
    assert key == hashlib.sha256(json.dumps([RUN, "refund", "in.csv", 1]).encode()).hexdigest()
    assert body == {
        "action": "refund", "idempotency_key": key, "model": "m", "model_version": "3", "run_id": RUN,
        "source": "in.csv", "row": 1, "message": "message 1", "probability": 0.95,
    }  # fmt: skip
    assert {entry["key"] for entry in lines(wanted.receipts)} == {key for key, _ in service.requests}
    assert not wanted.dead.exists()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, None])
def test_what_may_pass_is_tried_again(tmp_path: Path, status: int | None) -> None:
    def reply(number: int, body: dict[str, object]) -> Reply:
        return OK if number > 2 else None if status is None else (status, {}, "later")

    wanted = parcel(tmp_path, 1)
    with scripted(reply) as service:
        assert send(action(service.address), wanted) == Delivered("refund", 1, 1, 0)
    assert len({key for key, _ in service.requests}) == 1 and len(service.requests) == 3
    assert lines(wanted.receipts)[0]["attempts"] == 3


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 422])
def test_a_refusal_is_a_dead_letter_at_once(tmp_path: Path, status: int) -> None:
    wanted = parcel(tmp_path, 1)
    with scripted(lambda number, body: (status, {}, '{"error":\n "no such  order"}')) as service:
        assert send(action(service.address), wanted) == Delivered("refund", 1, 0, 1)
    (dead,) = lines(wanted.dead)
    assert dead["reason"] == f'answered {status}: {{"error": "no such order"}}'
    assert (dead["status"], dead["attempts"], len(service.requests)) == (status, 1, 1)
    assert dead["letter"]["message"] == "message 1" and dead["key"] == dead["letter"]["idempotency_key"]


def test_a_row_that_keeps_failing_is_a_dead_letter_and_the_others_arrive(tmp_path: Path) -> None:
    wanted = parcel(tmp_path, 20)
    with scripted(lambda number, body: (500, {}, "row 7") if body["row"] == 7 else OK) as service:
        assert send(action(service.address, retries=2), wanted) == Delivered("refund", 20, 19, 1)
        (dead,) = lines(wanted.dead)
        assert (dead["reason"], dead["attempts"]) == ("answered 500: row 7", 3)
        assert send(action(service.address), wanted) == Delivered("refund", 20, 19, 1)
        assert len(service.requests) == 22, "a dead letter is not sent again by itself"


def test_rows_that_an_endpoint_fails_on_do_not_make_it_given_up(tmp_path: Path) -> None:
    with scripted(lambda number, body: (500, {}, "") if int(str(body["row"])) <= 20 else OK) as service:
        told = send(action(service.address, retries=3), parcel(tmp_path, 40), silences=5, probes=1)
    assert told == Delivered("refund", 40, 20, 20)


def test_dead_letters_are_sent_again_when_asked_for(tmp_path: Path) -> None:
    wanted, well = parcel(tmp_path, 5), [0]

    def reply(number: int, body: dict[str, object]) -> Reply:
        row = int(str(body["row"]))
        return OK if row > 3 or row <= well[0] else (422, {}, f"try {number}")

    with scripted(reply) as service:
        endpoint = action(service.address)
        assert send(endpoint, wanted) == Delivered("refund", 5, 2, 3)
        well[0] = 2
        assert send(endpoint, wanted, again=True) == Delivered("refund", 5, 4, 1)
        (dead,) = lines(wanted.dead)
        assert dead["letter"]["row"] == 3
        assert send(endpoint, wanted, again=True) == Delivered("refund", 5, 4, 1)
        assert len(lines(wanted.dead)) == 1, "with the newest reason alone"
        well[0] = 3
        assert send(endpoint, wanted, again=True) == Delivered("refund", 5, 5, 0)
    assert not wanted.dead.exists()
    assert len(service.requests) == 5 + 3 + 1 + 1


def test_a_wait_that_is_asked_for_is_kept(tmp_path: Path) -> None:
    times: list[float] = []

    def reply(number: int, body: dict[str, object]) -> Reply:
        times.append(time.monotonic())
        asked = {1: "1", 2: format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), 3: "soon"}
        return (429, {"Retry-After": asked[number]}, "") if number < 4 else OK

    with scripted(reply) as service:
        assert send(action(service.address), parcel(tmp_path, 1), asked=0.3).delivered == 1
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[0] >= 0.3 and waits[1] >= 0.3, "an hour is cut to what the pace allows"


def test_an_endpoint_that_is_down_is_given_up_for_all_rows(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/refunds"
        wanted, second = parcel(tmp_path, 500, "1"), parcel(tmp_path, 300, "2")
        started = time.monotonic()
        told = send(action(address, retries=100), wanted, second, silences=10, first=0.01, longest=0.05)
        assert time.monotonic() - started < 10
    assert told == Delivered("refund", 800, 0, 800)
    reasons = {dead["reason"] for path in (wanted.dead, second.dead) for dead in lines(path)}
    assert all("given up after" in reason and "Connection refused" in reason for reason in reasons), reasons
    assert sum(dead["attempts"] for dead in lines(wanted.dead)) < 50, "most were never tried"


def test_an_endpoint_that_comes_back_gets_everything(tmp_path: Path) -> None:
    """Nobody answers for more tries than would kill any letter, and letters don't die of looking for it."""

    def reply(number: int, body: dict[str, object]) -> Reply:
        return OK if number > 30 else None

    with scripted(reply) as service:
        told = send(action(service.address, retries=4), parcel(tmp_path, 40), silences=8, probes=100)
    assert told == Delivered("refund", 40, 40, 0)


def test_an_endpoint_that_hangs_is_no_answer(tmp_path: Path) -> None:
    def reply(number: int, body: dict[str, object]) -> Reply:
        time.sleep(0.5 if number == 1 else 0)
        return OK

    wanted = parcel(tmp_path, 1)
    with scripted(reply) as service:
        assert send(action(service.address, timeout=0.1), wanted).delivered == 1
        assert send(action(service.address, timeout=0.1), wanted).delivered == 1
    assert lines(wanted.receipts)[0]["attempts"] == 2


@pytest.mark.parametrize(
    ("first", "after", "told"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n", "no answer within 0.4 s"),
        (b"HTTP/1.1 400 No\r\nContent-Length: 99999\r\n\r\n", b"no", "answered 400: no"),
    ],
)
def test_an_endpoint_that_answers_byte_by_byte_is_left_after_the_timeout(
    tmp_path: Path, first: bytes, after: bytes, told: str
) -> None:
    wanted, started = parcel(tmp_path, 1), time.monotonic()
    with dripping(first, after) as address:
        assert send(action(address, timeout=0.4, retries=0), wanted).dead == 1
        assert time.monotonic() - started < 3
    assert lines(wanted.dead)[0]["reason"].startswith(told)


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_an_address_that_no_host_can_have_is_a_dead_letter(tmp_path: Path, host: str) -> None:
    """One that an older version carries."""
    wanted = parcel(tmp_path, 1)
    older = action("http://shop.example/x", retries=0).model_copy(update={"to": f"http://{host}/x"})
    assert send(older, wanted) == Delivered("refund", 1, 0, 1)
    assert lines(wanted.dead)[0]["reason"].startswith("no")


def test_a_wait_that_no_calendar_has_is_none(tmp_path: Path) -> None:
    asked = {"Retry-After": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}
    with scripted(lambda number, body: (429, asked, "") if number < 2 else OK) as service:
        assert send(action(service.address), parcel(tmp_path, 1)).delivered == 1


@pytest.mark.parametrize("echo", ["Bearer {}", '{{"got": "{}"}}', "?token={}", "x" * 190 + "{}"])
def test_a_token_that_an_endpoint_repeats_is_not_in_its_dead_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: str
) -> None:
    token = "hunter2/+hunter2=="
    monkeypatch.setenv("SHOP_TOKEN", token)
    said = {"?": quote(token, safe=""), "{": token.replace("/", "\\/")}.get(echo[0], token)
    wanted = parcel(tmp_path, 1)
    with scripted(lambda number, body: (401, {}, echo.format(said))) as service:
        send(action(service.address, token_env="SHOP_TOKEN"), wanted)
    assert lines(wanted.dead)[0]["reason"] == f"answered 401: {echo.format('***')}"


def test_a_token_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(lambda number, body: OK) as service:
        secured = action(service.address, token_env="SHOP_TOKEN")
        told = "actions.refund.token_env: the environment variable SHOP_TOKEN holds no token; set it"
        for value in (None, "", "two\nlines", "grün"):
            monkeypatch.delenv("SHOP_TOKEN", raising=False)
            if value is not None:
                monkeypatch.setenv("SHOP_TOKEN", value)
            with pytest.raises(InputError) as caught:
                require_tokens([secured, action("/out")])
            assert caught.value.problems == (told,)
        monkeypatch.setenv("SHOP_TOKEN", "hunter2")
        require_tokens([secured])
        send(secured, parcel(tmp_path, 1))
    assert service.headers[0]["Authorization"] == "Bearer hunter2"
    assert all("hunter2" not in path.read_text() for path in tmp_path.glob("*.jsonl"))


def test_an_outbox_without_rows_sends_nothing(tmp_path: Path) -> None:
    with scripted(lambda number, body: OK) as service:
        assert send(action(service.address), parcel(tmp_path, 0)) == Delivered("refund", 0, 0, 0)
    assert service.requests == []


def test_journals_of_another_run_are_told(tmp_path: Path) -> None:
    with scripted(lambda number, body: OK) as service:
        send(action(service.address), parcel(tmp_path, 3))
        with pytest.raises(PerennialError, match="2 rows, but 3 have receipts and 0 are dead letters"):
            send(action(service.address), parcel(tmp_path, 2))


def test_two_processes_do_not_deliver_the_same(tmp_path: Path) -> None:
    wanted = parcel(tmp_path, 1)
    with locked(wanted.receipts), pytest.raises(OutsideError, match="another process delivers these rows now"):
        send(action("http://127.0.0.1:9/x"), wanted)


def test_an_outbox_that_is_damaged_or_gone_is_told(tmp_path: Path) -> None:
    wanted = parcel(tmp_path, 3)
    wanted.outbox.write_bytes(b"PAR1 and no more")
    for to in ("http://127.0.0.1:9/x", str(tmp_path / "urgent")):
        with pytest.raises(OutsideError, match=r"00001.parquet: damaged \(.*\); score these rows again"):
            send(action(to), wanted)
    wanted.outbox.unlink()
    with pytest.raises(OutsideError, match="start again") as caught:
        send(action("http://127.0.0.1:9/x"), wanted)
    assert "\n" not in str(caught.value)


def test_a_disk_that_refuses_ends_in_a_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(journal: Journal, entries: list[Any]) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "journal"))

    wanted = parcel(tmp_path, 30)
    with scripted(lambda number, body: OK) as service:
        monkeypatch.setattr(Journal, "append", full)
        with pytest.raises(OutsideError, match="the disk is full; start again"):
            send(action(service.address), wanted)
        monkeypatch.undo()
        assert send(action(service.address), wanted) == Delivered("refund", 30, 30, 0)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), stops=st.lists(st.integers(0, 12), max_size=4), retries=st.integers(0, 6))
def test_each_refund_is_opened_once_however_often_the_delivery_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, seed: int, stops: list[int], retries: int
) -> None:
    """The journals refuse after some entries, in place of a process that is killed before it writes a receipt."""
    folder = tmp_path_factory.mktemp("cut")
    parcels = [parcel(folder, 15, f"{n}", f"{n}.csv") for n in range(3)]
    with faulty(folder / "refunds.db", seed) as service, pytest.MonkeyPatch.context() as patched:
        wanted = action(f"{service.address}/refunds", retries=retries)
        for stop in stops:
            patched.setattr(delivering, "Journal", _ending_after(stop))
            try:
                send(wanted, *parcels)
            except KeyboardInterrupt:
                continue
        patched.setattr(delivering, "Journal", Journal)
        told = send(wanted, *parcels)
        refunds = Refunds(folder / "refunds.db").list()
        if told.dead:
            told = send(wanted.model_copy(update={"retries": 50}), *parcels, again=True)
            refunds = Refunds(folder / "refunds.db").list()
    assert told == Delivered("refund", 45, 45, 0)
    opened = sorted((refund["request"]["source"], refund["request"]["row"]) for refund in refunds)
    assert opened == [(f"{n}.csv", row) for n in range(3) for row in range(1, 16)]


def _ending_after(entries: int) -> type[Journal]:
    left = [entries]

    class Ending(Journal):
        def append(self, entries: Any) -> None:
            left[0] -= len(entries)
            if left[0] < 0:
                raise KeyboardInterrupt
            super().append(entries)

    return Ending


def test_the_shipped_service_is_asked_under_one_key_for_each_row(tmp_path: Path) -> None:
    with running(tmp_path / "refunds.db") as service:
        assert send(action(f"{service.address}/refunds"), parcel(tmp_path, 200)) == Delivered("refund", 200, 200, 0)
    assert len(Refunds(tmp_path / "refunds.db").list()) == 200
