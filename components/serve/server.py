"""The HTTP server: uvicorn's, with an end that loses no request and that no client holds up."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from bigbird_components.serve.app import ServerState
from bigbird_components.serve.connection import HEADER_BYTES, Clients, Connection
from bigbird_components.serve.listening import Listener
from bigbird_components.serve.log import Seldom, log

KEEP_ALIVE_S = 620  # above the 600 s after which Google's load balancers leave a connection, so that they are first
# Of the end. Each is shorter where the grace is: LINGER_S at most a quarter of it, HURRY_S half.
LINGER_S = 1.0  # how long idle connections stay open: a request may be on its way
HURRY_S = 2.0  # what half a request gets to become whole, and an answer to be taken
LAST_S = 0.3  # the end of the grace, in which requests that are given up are told so


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then answers all it accepted.

    The port closes. Answers on open connections, also to requests still to come on them, tell the client to
    close; connections that stay idle are closed, and so are those that stay halfway through a request.

    Args:
        app: the application.
        service: told when the end begins.
        clients: how many, and how long each may take.
        grace_s: longest time to finish in, from the signal.
    """

    def __init__(self, app: ASGIApp, service: ServerState, clients: Clients, grace_s: float):
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # what it would log may hold a text
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=HEADER_BYTES,
        )
        super().__init__(config)
        self.servers = []  # of asyncio there are none: see Listener
        self._service, self._clients, self._grace_s = service, clients, grace_s
        self._listeners: list[Listener] = []
        self._arriving: set[asyncio.Task[None]] = set()
        self._troubles = Seldom()
        self._ends_at: float | None = None

    def run_until_signal(self, bound: socket.socket) -> None:
        """Listens on a bound socket and returns once everything accepted is answered, or the grace is over.

        From then on both signals are ignored: the process is about to end, and a second one, as `docker stop` may send it,
        would only change its exit code.
        """
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:  # uvicorn, when done, sends itself the signal again, for whom it found in charge before
            signal.signal(number, self.handle_exit)
        self.run(sockets=[bound])
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    def left_s(self) -> float:
        """Seconds that are left of the grace."""
        return self._grace_s if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        asyncio.get_running_loop().set_exception_handler(self._trouble)
        for bound in sockets or []:
            self._listeners.append(Listener(bound, self._admit))
            log("listening", address="{}:{}".format(*bound.getsockname()[:2]), connections=self._clients.most)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends: see the class."""
        self._ends_at = time.monotonic() + self._grace_s
        self._service.phase = "draining"
        for listener in self._listeners:
            await listener.close()
        self._clients.hurry(min(HURRY_S, self._grace_s / 2))
        until = time.monotonic() + min(LINGER_S, self._grace_s / 4)
        while (self._arriving or self.server_state.connections) and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(0.0, self.left_s() - LAST_S)  # type: ignore[assignment] # seconds
        await super().shutdown()
        await asyncio.sleep(0.05)  # for requests that were given up just now to say so
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # a client that takes no answer would hold up the request that writes it
        while self._clients.leaving and self.left_s() > 0 and not self.force_exit:
            await asyncio.sleep(0.02)

    def _admit(self, accepted: socket.socket) -> None:
        """Gives a new connection its place, or turns it away."""
        protocol: asyncio.Protocol
        if len(self.server_state.connections) >= self._clients.most and not self._clients.make_room():
            protocol = self._clients.turn_away()
        else:
            protocol = Connection(self.config, self.server_state, self._clients)
        task = asyncio.get_running_loop().create_task(self._connect(accepted, protocol))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _connect(self, accepted: socket.socket, protocol: asyncio.Protocol) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, accepted)
        except OSError:  # the client is gone
            accepted.close()
            protocol.connection_lost(ConnectionAbortedError())

    def _trouble(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Logs what asyncio would write as a traceback each time; its text may quote a request's."""
        error = context.get("exception")
        self._troubles(str(context.get("message"))[:200], "ERROR", exception=type(error).__name__ if error else None)
