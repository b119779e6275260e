"""The HTTP server: uvicorn's, with an end that loses no request."""

from __future__ import annotations

import asyncio
import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from components.serve.app import Service
from components.serve.listening import take_no_more
from components.serve.log import log

LINGER_S = 1.0  # how long idle connections stay open when the server ends: a request may be on its way
KEEP_ALIVE_S = 620  # above the 600 s after which Google's load balancers leave a connection, so that they are first
ARRIVAL_S = 0.2  # for what has begun to connect to be accepted


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then answers all it accepted.

    The port closes. Answers on open connections, also to requests still to come on them, tell the client to
    close; connections that stay idle are closed.

    Args:
        app: the application.
        service: told when the end begins.
        grace_s: longest time to finish in.
    """

    def __init__(self, app: ASGIApp, service: Service, grace_s: int):
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
            timeout_graceful_shutdown=grace_s,
        )
        super().__init__(config)
        self._service = service

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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        await super().startup(sockets)
        for bound in sockets or []:
            log("listening", address="{}:{}".format(*bound.getsockname()[:2]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends: see the class."""
        self._service.phase = "draining"
        for listening in sockets or []:
            take_no_more(listening)
        await asyncio.sleep(ARRIVAL_S)
        for server in self.servers:
            server.close()
        until = asyncio.get_running_loop().time() + LINGER_S
        while self.server_state.connections and asyncio.get_running_loop().time() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
