"""What is wrong with a request, on its way to the answer that says so."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from tasks.scoring.rows import Finding

NOTHING: Mapping[str, str] = {}


class RequestError(Exception):
    """A request that can't be answered; `str` of it is one plain line."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        findings: Sequence[Finding] = (),
        headers: Mapping[str, str] = NOTHING,
    ) -> None:
        super().__init__(message)
        self.status, self.findings, self.headers = status, tuple(findings), headers


def bad_request(message: str) -> RequestError:
    """The body can't be read."""
    return RequestError(HTTPStatus.BAD_REQUEST, message)


def bad_rows(findings: Sequence[Finding]) -> RequestError:
    """The body was read, and names rows that can't be scored."""
    return RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(map(str, findings[:MOST_TOLD])), findings)


MOST_TOLD = 10
"""Findings that the one line names."""
