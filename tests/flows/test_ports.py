import socket
from collections.abc import Iterator

import pytest

from flows import ports
from flows.ports import listener_on, port_of
from models.errors import InputError, OutsideError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_given_port_that_is_taken_is_named(taken: int) -> None:
    with pytest.raises(InputError, match=rf"^--x-port {taken}: address already in use; choose another one"):
        listener_on(taken, 4200, "--x-port")


def test_the_next_free_port_stands_in_for_a_usual_one_that_is_taken(taken: int) -> None:
    with listener_on(None, taken, "--x-port") as listener:
        assert taken < port_of(listener) < taken + ports.TRIED
        assert listener.getsockname()[0] == "127.0.0.1"


def test_none_of_many_ports_free_is_a_plain_error(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "TRIED", 1)
    with pytest.raises(OutsideError, match=rf"ports {taken} to {taken}: none is free; choose one with --x-port"):
        listener_on(None, taken, "--x-port")
