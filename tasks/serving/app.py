"""The REST interface as an ASGI application."""

import asyncio
import hmac
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.serving import plain, v2
from tasks.serving.beside.beside import Beside
from tasks.serving.bodies import JSON, RETRY_SECONDS, Body, Room, header
from tasks.serving.limits import Limits
from tasks.serving.metrics import FORMAT, Metrics
from tasks.serving.models import Live, Models
from tasks.serving.openapi import describe
from tasks.serving.page import POLICY, page
from tasks.serving.pieces import PIECE
from tasks.serving.problem import RequestError
from tasks.serving.service import FEW, Service

LOG = logging.getLogger("perennial.serve")
REQUEST_ID = b"x-request-id"
KNOWN_ID = re.compile(r"[\x21-\x7e]{1,200}")
LONGEST_TOLD = 2000
"""Characters of what is wrong, which may repeat a caller's words."""
POLL_SECONDS = 0.25
METRICS = "/metrics"
OPEN = ("/", "/v2/health/live", "/v2/health/ready")
"""What may be asked without a token, and is none of the requests that are counted: the page, which asks for one, and
the process's health."""


@dataclass
class State:
    """What the routes share."""

    models: Models
    service: Service
    metrics: Metrics
    room: Room
    beside: Beside


def make_app(models: Models, service: Service, metrics: Metrics, token: str | None, beside: Beside) -> ASGIApp:
    """The application; all that `models` wants is loaded already. With a `token`, requests have to bear it.

    `beside` is closed when all requests are answered.
    """
    state = State(models, service, metrics, Room(service.limits.bodies * service.limits.body_bytes), beside)
    predict, infer = Asking(state, _predict), Asking(state, _infer)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        watching = asyncio.create_task(_follow(models, lambda: metrics.progress.set(gate.in_progress)))
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await asyncio.to_thread(models.close)
        await asyncio.to_thread(beside.close)

    routes = [
        Route("/models/{model}/predict", predict, methods=["POST"]),
        Route("/v2/models/{model}/infer", infer, methods=["POST"]),
        Route("/v2/models/{model}/versions/{version}/infer", infer, methods=["POST"]),
        Route("/v2/models/{model}/ready", _bound(state, _model_ready)),
        Route("/v2/models/{model}/versions/{version}/ready", _bound(state, _model_ready)),
        Route("/v2/models/{model}", _bound(state, _model)),
        Route("/v2/models/{model}/versions/{version}", _bound(state, _model)),
        Route("/v2/health/live", _bound(state, _healthy)),
        Route("/v2/health/ready", _bound(state, _healthy)),
        Route("/v2", _bound(state, _server)),
        Route("/models/{model}/endpoints", _bound(state, _endpoints_of)),
        Route("/endpoints", _bound(state, _endpoints)),
        Route(METRICS, _bound(state, _metrics)),
        Route("/openapi.json", _bound(state, _openapi)),
        Route("/", _bound(state, _page)),
    ]
    # Starlette's own words for paths that are not there and methods that are not allowed.
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_problem})
    quick = {("/models/", "/predict"): predict, ("/v2/models/", "/infer"): infer}
    gate = Gate(app, quick, metrics, service.limits, token)
    return gate


class Gate:
    """In front of the application: the token, and no more requests at once than can be held.

    Requests for predictions go past the application's routing, which takes as long as a small graph.
    """

    def __init__(
        self,
        app: ASGIApp,
        quick: Mapping[tuple[str, str], ASGIApp],
        metrics: Metrics,
        limits: Limits,
        token: str | None,
    ) -> None:
        """`quick` are applications by what is before and behind a model's name in their paths."""
        self._app, self._quick, self._metrics, self._most = app, quick, metrics, limits.requests
        self._token = None if token is None else token.encode()
        self.in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or refuses it."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self._metrics.count("", "", refusal.status_code, 0.0)
            await refusal(scope, receive, send)
            return
        self.in_progress += 1
        try:
            await self._route(scope)(scope, receive, send)
        finally:
            self.in_progress -= 1

    def _route(self, scope: Scope) -> ASGIApp:
        path: str = scope["path"]
        for (before, behind), app in self._quick.items():
            if scope["method"] == "POST" and path.startswith(before) and path.endswith(behind):
                model = path[len(before) : -len(behind)]
                if model and "/" not in model:
                    scope["path_params"] = {"model": model}
                    return app
        return self._app

    def _refusal(self, scope: Scope) -> Response | None:
        if self._token is not None:
            given = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
            scheme, _, borne = given.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(borne.strip(), self._token):
                error = RequestError(
                    HTTPStatus.UNAUTHORIZED, "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"}
                )
                return _problem(error, "")
        if self.in_progress >= self._most and scope["path"] != METRICS:
            text = f"{self._most} requests are in progress; come again"
            busy = RequestError(HTTPStatus.TOO_MANY_REQUESTS, text, headers={"Retry-After": RETRY_SECONDS})
            return _problem(busy, "")
        return None


async def _follow(models: Models, note: Callable[[], None]) -> None:
    """Takes the versions that are wanted, and notes how busy it is, as long as the process runs."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        note()
        if models.changed():
            try:
                await asyncio.to_thread(models.take)
            except Exception:
                LOG.exception("the versions that are wanted could not be read")


Made = TypeVar("Made")
Endpoint = Callable[[Request], Awaitable[Response]]


def _bound(state: State, answer: Callable[[State, Request], Awaitable[Response]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            return await answer(state, request)
        except RequestError as error:
            return _problem(error, _request_id(request.scope))

    return endpoint


class Asking:
    """A route that predicts: finds the model, counts and times, and has every answer bear the request's id."""

    def __init__(self, state: State, answer: Callable[[State, Body, Live, str], Awaitable[bytes]]) -> None:
        self._state, self._answer = state, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started, request_id, wanted = time.perf_counter(), _request_id(scope), scope["path_params"]
        model = version = ""
        body = Body(scope, receive, self._state.service.limits, self._state.room)
        try:
            live = self._state.models.find(wanted["model"], wanted.get("version"))
            model, version = live.served.name, live.served.version
            response = _json_bytes(await self._answer(self._state, body, live, request_id), request_id)
        except RequestError as error:
            response = _problem(error, request_id)
        except Exception:
            LOG.exception("request %s", request_id)
            response = _problem(RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the server"), request_id)
        finally:
            body.let_go()
        self._state.metrics.count(model, version, response.status_code, time.perf_counter() - started)
        await response(scope, receive, send)


async def _predict(state: State, body: Body, live: Live, request_id: str) -> bytes:
    asked = await plain.read_rows(body, live.served, request_id)
    answered = await state.service.answer(live, asked)
    return await _aside(len(asked.rows) > FEW, plain.write_answer, answered, request_id)


async def _infer(state: State, body: Body, live: Live, request_id: str) -> bytes:
    given = await body.json()
    asked = await _aside(body.size > PIECE, v2.read_infer, given, live.served, request_id)
    answered = await state.service.answer(live, asked)
    answer_id, wanted = given.get("id", request_id), given.get("outputs")
    return await _aside(len(asked.rows) > FEW, v2.write_infer, answered, answer_id, wanted)


async def _aside(large: bool, work: Callable[..., Made], *given: Any) -> Made:
    """What the work makes: in a thread where it is large, so that others are answered meanwhile."""
    return await asyncio.to_thread(work, *given) if large else work(*given)


async def _model(state: State, request: Request) -> Response:
    return _json(v2.metadata(_asked_for(state, request).served))


async def _model_ready(state: State, request: Request) -> Response:
    live = _asked_for(state, request)
    return _json({"name": live.served.name, "ready": True})


async def _healthy(state: State, request: Request) -> Response:
    return _json({"ready": True} if request.url.path.endswith("ready") else {"live": True})


async def _server(state: State, request: Request) -> Response:
    return _json({"name": "perennial", "version": "2", "extensions": []})


async def _metrics(state: State, request: Request) -> Response:
    state.metrics.damaged.set(await asyncio.to_thread(state.beside.damaged))
    return Response(await asyncio.to_thread(state.metrics.text), media_type=FORMAT)


async def _endpoints(state: State, request: Request) -> Response:
    served = {name: live.served for name, live in state.models.live.items()}
    return _json(await state.beside.telling.tell_all(served))


async def _endpoints_of(state: State, request: Request) -> Response:
    return _json(await state.beside.telling.tell(_asked_for(state, request).served))


async def _openapi(state: State, request: Request) -> Response:
    return _json(describe({name: live.served for name, live in state.models.live.items()}, state.service.limits))


async def _page(state: State, request: Request) -> Response:
    return HTMLResponse(page(), headers={"Content-Security-Policy": POLICY})


def _asked_for(state: State, request: Request) -> Live:
    return state.models.find(request.path_params["model"], request.path_params.get("version"))


async def _http_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    text = f"{request.method} {request.url.path}: {status.phrase.lower()}; / and /openapi.json tell what there is"
    return _problem(RequestError(status, text, headers=dict(error.headers or {})), _request_id(request.scope))


def _request_id(scope: Scope) -> str:
    given = header(scope, REQUEST_ID)
    return given if given and KNOWN_ID.fullmatch(given) else os.urandom(16).hex()


def _problem(error: RequestError, request_id: str) -> Response:
    text = str(error)
    told: dict[str, Any] = {"error": text if len(text) <= LONGEST_TOLD else f"{text[:LONGEST_TOLD]}…"}
    if request_id:
        told["request_id"] = request_id
    if error.findings:
        told["findings"] = [vars(finding) for finding in error.findings]
    headers = {**error.headers, **({REQUEST_ID.decode(): request_id} if request_id else {})}
    return Response(orjson.dumps(told), error.status, headers, JSON)


def _json_bytes(content: bytes, request_id: str) -> Response:
    return Response(content, headers={REQUEST_ID.decode(): request_id}, media_type=JSON)


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type=JSON)
