"""One client's connection: uvicorn's, with deadlines, and with every refusal as JSON."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass, field

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bigbird_components.serve.farewell import Farewell, error_response
from bigbird_components.serve.log import Seldom

HEADER_BYTES = 16_384  # the longest header
PIECE = 1024  # bytes of a header that h11 gets at once: it holds the limit only against what is not whole yet
SHOWN = 200  # characters of what is wrong with a request
MOST_LEAVING = 24  # connections that are being refused, each for a moment; RESERVE in listening.py has room for them
PATIENCE_S = 0.25  # for how long nobody else gets the place of a client that is slow


@dataclass
class Clients:
    """Who is connected, and how long each may take.

    Where all places are taken, a client that keeps the server waiting loses its place to one that comes.

    Args:
        most: connections at once.
        header_s: seconds for a header to arrive, from the connection's beginning or the header's first byte.
        body_s: seconds for a body to arrive, and for an answer to be taken.

    Attributes:
        slow: those that have sent half a request or do not take their answer, and since when; longest first.
        idle: those between two requests, likewise.
        leaving: those that are being sent away.
        hurry_s: what takes the place of longer times once the server is stopping.
    """

    most: int
    header_s: float
    body_s: float
    slow: dict[Connection, float] = field(default_factory=dict)
    idle: dict[Connection, float] = field(default_factory=dict)
    leaving: dict[Farewell, None] = field(default_factory=dict)
    hurry_s: float | None = None
    _log: Seldom = field(default_factory=Seldom)

    def make_room(self) -> bool:
        """Sends away who has kept the server waiting longest, if anybody has for long enough; says whether."""
        patience = asyncio.get_running_loop().time() - PATIENCE_S
        for waiting in (self.slow, self.idle):
            connection, since = next(iter(waiting.items()), (None, 0.0))
            if connection and since <= patience:
                connection.give_way()
                return True
        return False

    def turn_away(self) -> Farewell:
        """What answers a client that there is no place for."""
        self._log("connections are refused: all places are taken", "WARNING", places=self.most)
        reason = f"the server has {self.most} connections, as many as it takes; try again later"
        return self.farewell(error_response(503, reason))

    def farewell(self, answer: bytes) -> Farewell:
        """What sends a client away; where too many are leaving already, the first of them has had its time."""
        if len(self.leaving) >= MOST_LEAVING:
            oldest = next(iter(self.leaving))
            del self.leaving[oldest]
            oldest.abort()
        return Farewell(answer, self.leaving)

    def hurry(self, seconds: float) -> None:
        """Lets nobody take longer than this from now on."""
        self.hurry_s = seconds
        for connection in list(self.slow):
            connection.hurry()


class Connection(H11Protocol):
    """One client's connection.

    What the client has to do next gives the stage, and the stage the deadline, in total: a byte now and then does not put
    it off. Between two requests uvicorn's own timeout holds.

    Args:
        config: uvicorn's.
        state: uvicorn's; counts this connection from here on.
        clients: all of them.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState, clients: Clients):
        super().__init__(config, state, {})
        self._clients = clients
        self._stage: tuple[str, object] = ("", None)  # its name, and the request before or in it
        self._deadline: asyncio.TimerHandle | None = None
        self._blocked = False  # the client does not take what is written
        self._ended = False  # the client sends no more, but may be reading
        self._left = False
        state.connections.add(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begins: see `asyncio.Protocol`."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that pause_writing tells of every byte that is not taken
        self._follow()

    def data_received(self, data: bytes) -> None:
        """Takes what came."""
        while data and not self._left and not self.transport.is_closing():
            size = PIECE if self.conn.their_state is h11.IDLE else len(data)
            super().data_received(data[:size])
            data = data[size:]
        self._follow()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn closes in any case
        """Answers what was sent whole, and refuses what was not, before the connection closes."""
        self._ended = True
        self._follow()
        return not self._left and self._stage[0] in ("whole", "answer")

    def on_response_complete(self) -> None:
        """Goes on to the next request, which may have arrived already."""
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        super().pause_writing()
        self._blocked = True
        self._follow()

    def resume_writing(self) -> None:
        """It has taken it."""
        super().resume_writing()
        self._blocked = False
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which uvicorn leaves to run where the client reset the connection
        self._forget()

    def timeout_keep_alive_handler(self) -> None:
        """It has been idle for too long."""
        self._leave()

    def shutdown(self) -> None:
        """Closes if no request is being answered, else after the answer."""
        if self.transport and not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuses what h11 did not understand; uvicorn calls this where it caught h11's exception."""
        error = sys.exception()
        status, found = 400, msg
        if isinstance(error, h11.RemoteProtocolError):
            found = _without_bytes(str(error))
            if self.conn.our_state is h11.IDLE:  # a header, not a body
                status = error.error_status_hint
        if status == 431:
            self._leave(431, f"the header is longer than {HEADER_BYTES:,} bytes; send a shorter one")
        else:
            self._leave(status, f"the request is not valid HTTP/1.1: {found}")

    def give_way(self) -> None:
        """Leaves the place to another client."""
        self._late("and other clients wait for a connection")

    def hurry(self) -> None:
        """Holds the deadline against what `Clients` says now."""
        self._stage = ("", None)
        self._follow()

    def _follow(self) -> None:
        """Sets the deadline of the stage, if that is another than before."""
        stage = (self._stage_name(), self.cycle)
        if stage == self._stage and not self._ended:
            return
        self._forget()
        self._stage = stage
        name = stage[0]
        if self._ended and name in ("idle", "header", "body"):  # there will be no more
            half = name == "body" or self.conn.trailing_data[0]
            self._leave(*((400, f"the {name} ended early") if half else ()))
        elif name == "idle":
            self._clients.idle[self] = self.loop.time()
        elif name in ("header", "body", "answer"):
            self._clients.slow[self] = self.loop.time()
            self._deadline = self.loop.call_later(self._seconds(name), self._late)

    def _stage_name(self) -> str:
        if self._blocked and not self._left:
            return "answer"
        if self._left or self.transport.is_closing():
            return "closed"
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        if self.conn.their_state is not h11.IDLE:
            return "whole"
        return "idle" if self.cycle and not self.conn.trailing_data[0] else "header"

    def _seconds(self, name: str) -> float:
        seconds = self._clients.header_s if name == "header" else self._clients.body_s
        return seconds if self._clients.hurry_s is None else min(seconds, self._clients.hurry_s)

    def _forget(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        self._clients.slow.pop(self, None)
        self._clients.idle.pop(self, None)

    def _late(self, why: str = "") -> None:
        name = self._stage[0]
        if name == "answer":  # there is no way to tell
            self._left = True
            self.transport.abort()
            self.connections.discard(self)
            self._forget()
        elif name == "body" or (name == "header" and self.conn.trailing_data[0]):
            self._leave(408, f"the {name} did not arrive {why or f'within {self._seconds(name):g} seconds'}")
        else:
            self._leave()

    def _leave(self, status: int = 0, reason: str = "") -> None:
        """Sends the client away, with an answer if there is one to give and none was begun."""
        if self._left or self.transport.is_closing():
            return
        may_answer = status and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        self._left = True
        if self.cycle:
            self.cycle.waiting_for_100_continue = (
                False  # the application may still ask for the body, and would be sent one
            )
        self.connection_lost(ConnectionAbortedError())  # for uvicorn and the application the client is gone
        farewell = self._clients.farewell(error_response(status, reason) if may_answer else b"")
        self.transport.set_protocol(farewell)
        farewell.connection_made(self.transport)


def _without_bytes(told: str) -> str:
    """h11's reason, with what it quotes as text and not as Python has it."""
    return re.sub(r"\bb(['\"])(.*?)(?<!\\)\1", r'"\2"', re.sub(r"bytearray\((b.*?)\)", r"\1", told))[:SHOWN]
