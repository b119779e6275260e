"""What the server answers: health, predictions, and JSON with the reason where there are none."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bigbird.support.errors import InputError
from bigbird_components.serve.batching import Batcher, QueueFull
from bigbird_components.serve.instances import read_instances
from bigbird_components.serve.log import log, log_exception

# What is read of a body above the limit and thrown away: a client that is still sending would not see the answer.
DISCARDED_BYTES = 16_000_000
RETRY = {"Retry-After": "1"}  # seconds


@dataclass
class ServerState:
    """What the routes share with the thread that loads and runs the model.

    phase: loading, ready or draining.
    fields: names of the model's inputs; known when ready.
    unanswered: requests that were accepted and then given up.
    """

    batcher: Batcher
    max_body_bytes: int
    max_instances: int
    phase: str = "loading"
    fields: Sequence[str] = ()
    unanswered: int = 0


def build_app(service: ServerState, health_route: str, predict_route: str, *, access_log: bool = False) -> ASGIApp:
    """The application.

    Args:
        service: its state.
        health_route: answers GET with 200 when ready, else 503.
        predict_route: answers POST.
        access_log: logs each request's route, status and time.
    """

    async def health(_: Request) -> Response:
        return _json(200 if service.phase == "ready" else 503, {"status": service.phase})

    async def predict(request: Request) -> Response:
        try:
            return await _predict(service, request)
        except InputError as error:
            return _error(400, str(error))
        except ClientDisconnect:  # while it was sending
            return _error(408, "the body did not arrive")  # only the log gets it
        except HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - the model's, or ours: this request's, not the server's
            log_exception("a request failed", error)
            return _error(500, f"the model failed ({type(error).__name__}); the server's log says where")

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these
        reasons = {
            404: f"no such path; expected {predict_route} or {health_route}",
            405: f"{request.method[:20]} is not allowed here; expected {(error.headers or {}).get('Allow')}",
        }
        return _error(error.status_code, reasons.get(error.status_code, error.detail), error.headers)

    async def fail(_: Request, error: Exception) -> Response:
        log_exception("a request failed", error)
        return _error(500, f"the server failed ({type(error).__name__}); its log says where")

    app = Starlette(
        routes=[
            Route(health_route, health, methods=["GET"]),
            Route(predict_route, predict, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refuse, Exception: fail},
    )
    app.router.redirect_slashes = False
    closing = _closing_when_draining(_of_known_versions(app), service)
    return _logged(closing, (health_route, predict_route)) if access_log else closing


async def _predict(service: ServerState, request: Request) -> Response:
    if not service.fields:
        return _error(503, "the model is being loaded", RETRY)
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"Content-Type is {kind[:80]}; expected application/json")
    body = await _read_body(request, service.max_body_bytes)
    examples = read_instances(body, service.fields, service.max_instances)
    try:
        future = service.batcher.submit(examples)
    except QueueFull:
        return _error(429, "too many requests are waiting; try again later", RETRY)
    try:
        answers = await asyncio.wrap_future(future)
    except asyncio.CancelledError:  # the time to finish in is over
        service.unanswered += 1
        return _error(503, "the server is stopping and did not answer this request", RETRY)
    return _json(200, {"predictions": answers})


async def _read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413, it is longer than `limit` bytes.
    """
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > DISCARDED_BYTES:
            break
    if size > limit:
        raise HTTPException(413, f"the body has more than {limit:,} bytes, the most of one request; send less at once")
    return bytes(body)


def _error(status: int, reason: str, headers: Any = None) -> Response:
    return _json(status, {"error": reason}, headers)


def _json(status: int, value: Any, headers: Any = None) -> Response:
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return Response(content, status, headers, media_type="application/json")


def _of_known_versions(app: ASGIApp) -> ASGIApp:
    """Refuses other versions of HTTP; the first line with which a client begins HTTP/2 reads like a request."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        version = scope["http_version"]
        if version in ("1.0", "1.1"):
            await app(scope, receive, send)
        else:
            reason = f"the request is of HTTP/{version}; expected HTTP/1.1"
            await _error(505, reason, {"Connection": "close"})(scope, receive, send)

    return application


def _closing_when_draining(app: ASGIApp, service: ServerState) -> ASGIApp:
    """Tells clients to leave the connection once the server is about to end."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and service.phase == "draining":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await app(scope, receive, answer)

    return application


def _logged(app: ASGIApp, routes: Sequence[str]) -> ASGIApp:
    """A line for each request; a path that is no route may hold anything and is not shown."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.monotonic(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await app(scope, receive, answer)
        route = scope["path"] if scope["path"] in routes else "other"
        ms = round(1000 * (time.monotonic() - started), 1)
        log("request", method=scope["method"], route=route, status=status, milliseconds=ms)

    return application
