"""The HTTP server: uvicorn's, with an end that loses no request."""

from __future__ import annotations

import asyncio
import select
import signal
import socket
from collections.abc import Sequence

import uvicorn
from starlette.types import ASGIApp

from bigbird.errors import InputError
from components.serve.app import Service
from components.serve.log import log

LINGER_S = 1.0  # how long idle connections stay open when the server ends: a request may be on its way
KEEP_ALIVE_S = 620  # above the 600 s after which Google's load balancers leave a connection, so that they are first
POLLS = 100  # most rounds of accepting what connected before the port closes


def bind(host: str, port: int) -> socket.socket:
    """A socket with the address taken; connections are refused until a server listens.

    Args:
        host: name or address.
        port: 0 takes a free one.

    Raises:
        InputError: the address cannot be taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot be listened on ({error.strerror or error}); give another") from None
    return bound


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, then answers all it accepted.

    The port closes at once. Answers on open connections, also to requests still to come on them, tell the client to
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
        """Listens on a bound socket and returns once everything accepted is answered, or the grace is over."""
        # uvicorn, when done, sends itself the signal again, for whom it found in charge before.
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        self.run(sockets=[bound])
        for number, handler in before.items():
            signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        await super().startup(sockets)
        for bound in sockets or []:
            log("listening", address="{}:{}".format(*bound.getsockname()[:2]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends: see the class."""
        self._service.phase = "draining"
        await self._accept_connected(sockets or [])
        for server in self.servers:
            server.close()
        until = asyncio.get_running_loop().time() + LINGER_S
        await asyncio.sleep(0.05)  # for uvicorn to know the last accepted connections
        while self.server_state.connections and asyncio.get_running_loop().time() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    async def _accept_connected(self, sockets: Sequence[socket.socket]) -> None:
        """Lets the event loop accept what has connected; the kernel would reset it when the port closes."""
        connected = select.poll()
        for listening in sockets:
            connected.register(listening, select.POLLIN)
        for _ in range(POLLS):
            if not connected.poll(0):
                return
            await asyncio.sleep(0)
