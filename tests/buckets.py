"""Storage services on this machine that others wrote: gcp-storage-emulator for gs://, moto for s3://."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.loopback import free_port

BUCKET = "bucket"
"""The one that both have."""


@contextmanager
def google() -> Iterator[dict[str, str]]:
    """Starts the emulator; gives the environment in which it is found."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    finally:
        server.stop()


@contextmanager
def s3() -> Iterator[dict[str, str]]:
    """Starts moto; gives the environment in which it is found."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")).close()
    try:
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()


SERVICES = {"gs": google, "s3": s3}


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and never answers; gives its address."""
    import socket

    ended, held = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)

        def take() -> None:
            while not ended.is_set():
                try:
                    held.append(listening.accept()[0])
                except TimeoutError:
                    continue

        taking = threading.Thread(target=take, daemon=True)
        taking.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            taking.join()
            for connection in held:
                connection.close()
