"""Running out of file descriptors makes clients wait, and nothing else; closing the port resets nobody."""

import asyncio
import errno
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bigbird.support.errors import InputError
from bigbird_components.serve.listening import Listener, bind

ROOT = Path(__file__).parents[3]
WITHOUT_FILES = """
import asyncio, resource, socket
from bigbird_components.serve.listening import Listener, bind

async def main():
    bound, admitted = bind("127.0.0.1", 0), asyncio.Queue()
    Listener(bound, admitted.put_nowait)
    clients = [socket.create_connection(bound.getsockname()) for _ in range(40)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    await asyncio.sleep(1)
    assert admitted.empty()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for _ in clients:
        await asyncio.wait_for(admitted.get(), 5)

asyncio.run(main())
"""


def test_without_file_descriptors_connections_wait_and_the_log_has_one_line():
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'model'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FILES], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line == {
        "severity": "WARNING",
        "message": "connections have to wait",
        "times": 1,
        "reason": "Too many open files",
    }


def test_who_has_connected_when_the_port_closes_is_still_accepted():
    async def run():
        bound, admitted = bind("127.0.0.1", 0), []
        address = bound.getsockname()
        listener = Listener(bound, admitted.append)
        clients = [socket.create_connection(address) for _ in range(100)]
        await listener.close()
        assert {accepted.getpeername() for accepted in admitted} == {client.getsockname() for client in clients}
        for connection in (*admitted, *clients):
            connection.close()
        try:
            socket.create_connection(address).close()
        except ConnectionRefusedError:
            return True
        return False

    assert asyncio.run(run())


@pytest.mark.skipif(sys.platform != "linux", reason="NOT RUN: only Linux drops the first packets of connections")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_comes_while_the_port_closes_is_refused_and_not_accepted_and_reset(host):
    try:
        bound = bind(host, 0)
    except InputError as error:
        pytest.skip(f"NOT RUN: {error}")

    async def run():
        admitted = []
        listener = Listener(bound, admitted.append)
        before = socket.create_connection(bound.getsockname()[:2])
        closing = asyncio.ensure_future(listener.close())
        await asyncio.sleep(0)  # up to where it waits for connections that have begun
        with socket.socket(bound.family) as late:
            late.settimeout(30)
            outcome = asyncio.to_thread(late.connect_ex, bound.getsockname()[:2])
            assert await outcome == errno.ECONNREFUSED  # connected, it would be 0
        await closing
        assert [accepted.getpeername() for accepted in admitted] == [before.getsockname()]
        for connection in (*admitted, before):
            connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "no.such.host.invalid"])
def test_a_host_that_is_none_is_told(host):
    with pytest.raises(
        InputError, match=rf"{re.escape(host)}:80: cannot be listened on \(.+\); expected a name or address"
    ):
        bind(host, 80)


def test_a_socket_that_cannot_be_bound_is_closed(monkeypatch):
    made = []

    class Socket(socket.socket):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(socket, "socket", Socket)
        with pytest.raises(InputError, match="Address already in use"):
            bind("127.0.0.1", taken.getsockname()[1])
    assert [each.fileno() for each in made] == [-1]
