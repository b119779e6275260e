"""gcsfs and s3fs as this package uses them: each request by our own patience, nothing remembered of what buckets hold.

They are imported when the first bucket is reached: paths of this machine need none of them.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from bigbird.storage import trouble
from bigbird.storage.services import service_of, split
from bigbird.support.errors import InputError

THREADS = 8
"""How many objects are copied or deleted at once."""
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 20.0
"""How long one attempt waits for a connection, and for the next bytes of an answer."""


def backend(address: str, patience_s: float | None = None) -> Any:
    """The file system of an address: fsspec's interface and, of objects, `write_if`, `delete_if` and `ask_bucket`.

    Args:
        address: in a bucket.
        patience_s: how long each request is tried anew; default `trouble.PATIENCE_S`.

    Raises:
        InputError: the address names no service that is known, or what reaches it is not installed.
        Exception: the library's, for credentials that are missing.
    """
    service_of(address)
    try:
        make = {"gs": _google, "s3": _s3}[address.partition("://")[0]]
        return make(trouble.PATIENCE_S if patience_s is None else patience_s)
    except ImportError as error:
        raise InputError(f"{address}: cannot be reached from here, as {error.name} is not installed") from None


def _google(patience_s: float) -> Any:
    import aiohttp

    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"
    return _google_class()(
        patience_s=patience_s,
        endpoint_url=emulator or None,
        # gcsfs would go on as nobody where there are no credentials; emulators ask for none.
        token="anon" if emulator else "google_default",
        requests_timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S),
        use_listings_cache=False,
    )


def _s3(patience_s: float) -> Any:
    return _s3_class()(
        patience_s=patience_s,
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None,
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "retries": {"total_max_attempts": 1},
        },
        use_listings_cache=False,
    )


@functools.cache
def _google_class() -> Any:
    from gcsfs.core import GCSFileSystem

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs, with tracebacks, what we tell

    class Google(GCSFileSystem):  # type: ignore[misc]  # without types
        def __init__(self, *args: Any, patience_s: float, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._patience_s = patience_s

        async def _request(self, *args: Any, **kwargs: Any) -> Any:
            # Without gcsfs' own repetitions, whose number and pauses are fixed.
            once = GCSFileSystem._request.__wrapped__  # noqa: SLF001
            return await trouble.patiently(lambda: once(self, *args, **kwargs), self._patience_s)

        def ask_bucket(self, bucket: str) -> None:
            self.call("GET", "b/{}/o", bucket, maxResults=1)

        def write_if(self, address: str, content: bytes, version: str) -> str:
            bucket, key = split(address)
            written = self.call(
                "POST",
                f"{self._location}/upload/storage/v1/b/{{}}/o",
                bucket,
                uploadType="media",
                name=key,
                ifGenerationMatch=version or "0",
                headers={"Content-Type": "application/octet-stream"},
                data=content,
                json_out=True,
            )
            return str(written["generation"])

        def delete_if(self, address: str, version: str) -> None:
            self.call("DELETE", "b/{}/o/{}", *split(address), ifGenerationMatch=version)

    return Google


@functools.cache
def _s3_class() -> Any:
    from fsspec.asyn import sync
    from s3fs import S3FileSystem

    class S3(S3FileSystem):  # type: ignore[misc]  # without types
        retries = 1  # `patiently` repeats

        def __init__(self, *args: Any, patience_s: float, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._patience_s = patience_s

        async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
            async def once() -> Any:
                answer = await super(S3, self)._call_s3(method, *args, **kwargs)
                if method == "get_object":  # a connection lost in the middle is trouble of this request, too
                    async with answer["Body"] as stream:
                        answer["Body"] = _Content(await stream.read())
                return answer

            return await trouble.patiently(once, self._patience_s)

        async def _cat_file(self, path: str, **kwargs: Any) -> Any:
            # One request: s3fs would ask for the size first, to fetch large ones in parts at once.
            return await super()._cat_file(path, max_concurrency=1, **kwargs)

        def _ask(self, method: str, **kwargs: Any) -> Any:
            return sync(self.loop, self._call_s3, method, **kwargs)

        def ask_bucket(self, bucket: str) -> None:
            self._ask("list_objects_v2", Bucket=bucket, MaxKeys=1)

        def write_if(self, address: str, content: bytes, version: str) -> str:
            bucket, key = split(address)
            condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
            return str(self._ask("put_object", Bucket=bucket, Key=key, Body=content, **condition)["ETag"])

        def delete_if(self, address: str, version: str) -> None:
            # Not every S3 takes a condition here.
            if self.info(address)["ETag"] == version:
                self.rm_file(address)

    return S3


class _Content:
    """A body that was read, as s3fs reads it."""

    def __init__(self, content: bytes):
        self._rest = memoryview(content)

    async def read(self, size: int = -1) -> bytes:
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)

    def close(self) -> None:
        pass
