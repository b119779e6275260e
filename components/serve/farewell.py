"""How a client is sent away: it gets its answer even while it is still sending."""

from __future__ import annotations

import asyncio
import http
import json

LEAVE_S = 1.0  # what a client gets to take its answer and close


def error_response(status: int, reason: str) -> bytes:
    """A whole response with `{"error": reason}`, after which the connection closes."""
    body = json.dumps({"error": reason}, ensure_ascii=False).encode("utf-8")
    retry = "retry-after: 1\r\n" if status == http.HTTPStatus.SERVICE_UNAVAILABLE else ""
    header = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{retry}connection: close\r\n\r\n"
    )
    return header.encode("ascii") + body


class Farewell(asyncio.Protocol):
    """Writes a last answer, then throws away what still comes until the client closes or its time is over.

    A socket that is closed with something unread resets the connection, and the client may never see the answer.

    Args:
        answer: the bytes; none just closes.
        leaving: those who are still there, oldest first; this one is in it until the connection is closed.
    """

    def __init__(self, answer: bytes, leaving: dict[Farewell, None]):
        self._answer, self._leaving = answer, leaving
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        leaving[self] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins, on a connection that is new or that another protocol leaves to this one."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection's
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(LEAVE_S, self.abort)
        transport.resume_reading()
        try:
            transport.write(self._answer)
            transport.write_eof()
        except OSError:  # the client is gone
            self.abort()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Forgets the connection."""
        if self._timer:
            self._timer.cancel()
        self._leaving.pop(self, None)
