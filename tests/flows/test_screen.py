"""Failures of Prefect's server as one plain line each."""

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from flows.screen import tell_error


def answered(status: int) -> PrefectHTTPStatusError:
    response = httpx.Response(status, request=httpx.Request("GET", "http://prefect/api"), json={"detail": "secret"})
    with pytest.raises(httpx.HTTPStatusError) as raised:
        response.raise_for_status()
    return PrefectHTTPStatusError.from_httpx_error(raised.value)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (answered(401), "asks for user and password; set PREFECT_API_AUTH_STRING to USER:PASSWORD"),
        (answered(503), "failed (status 503); `perennial history` tells what was done before"),
        (httpx.ConnectError("refused"), "can't be reached (refused); `perennial history` tells what was done before"),
    ],
)
def test_what_prefect_answers_is_told_in_one_line(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://ada:pw@prefect/api")
    assert tell_error(error, debug=False, as_json=False) == 3
    assert capsys.readouterr().err == f"Prefect at http://***@prefect/api {told}\n"


def test_a_full_disk_under_a_server_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect/api")
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=184_000))
    assert tell_error(answered(500), debug=False, as_json=False) == 3
    told = f"failed (status 500); only 0.2 MB are left on the disk of {tmp_path}: make room"
    assert capsys.readouterr().err == f"Prefect at http://prefect/api {told}\n"
