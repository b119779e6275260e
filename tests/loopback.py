"""A server on this machine that speaks somebody's REST, so that real clients can be tested up to the wire."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@dataclass(frozen=True)
class Request:
    """What came in; `body` is parsed where it is JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Answer(Exception):
    """What a handler returns or raises where it is not 200 with JSON."""

    def __init__(self, status: int, body: Any = None):
        super().__init__(status, body)
        self.status, self.body = status, body


@dataclass
class Trouble:
    """What happens to the next `times` requests whose "METHOD /path" matches.

    status: answered in place of the handler; None closes the connection without an answer.
    handled: whether the handler does its work first, so that only its answer is lost.
    """

    pattern: str
    times: int
    status: int | None = None
    message: str = "trouble"
    handled: bool = False


@dataclass
class LoopbackServer:
    """Answers by `routes`: (regular expression of "METHOD /path", handler(match, request) -> JSON value)."""

    routes: list[tuple[str, Callable[[re.Match[str], Request], Any]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def __enter__(self) -> LoopbackServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def answer(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trouble(self, pattern: str, times: int = 1, **options: Any) -> None:
        """See `Trouble`."""
        self.troubles.append(Trouble(pattern, times, **options))

    def asked(self, pattern: str) -> list[Request]:
        """The requests whose "METHOD /path" matches."""
        return [request for request in self.requests if re.search(pattern, str(request))]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        try:
            body = json.loads(data) if data else None
        except ValueError:
            body = data
        split = urlsplit(handler.path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, unquote(split.path), dict(parse_qsl(split.query)), headers, body)
        with self._lock:
            self.requests.append(request)
            trouble = next((t for t in self.troubles if t.times and re.search(t.pattern, str(request))), None)
            if trouble:
                trouble.times -= 1
            answer = self._handle(request) if trouble is None or trouble.handled else Answer(200)
        if trouble:
            if trouble.status is None:
                handler.close_connection = True
                handler.connection.close()
                return
            answer = Answer(trouble.status, _error(trouble.status, trouble.message))
        raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body or {}).encode()
        handler.send_response(answer.status)
        handler.send_header(
            "Content-Type", "application/octet-stream" if isinstance(answer.body, bytes) else "application/json"
        )
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    def _handle(self, request: Request) -> Answer:
        for pattern, route in self.routes:
            match = re.fullmatch(pattern, str(request))
            if match:
                try:
                    result = route(match, request)
                except Answer as answer:
                    return answer
                return result if isinstance(result, Answer) else Answer(200, result)
        return Answer(404, _error(404, f"no route for {request}"))


def _error(status: int, message: str) -> dict[str, Any]:
    """As Google's APIs say it."""
    names = {
        400: "INVALID_ARGUMENT",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }
    return {"error": {"code": status, "message": message, "status": names.get(status, "UNKNOWN")}}
