"""One writer at a time for a folder of a bucket: a lock object that only one process can make.

Cloud Storage writes an object only if it has the generation that the writer names; 0 is "none yet". The holder writes its
object anew every few seconds. One that does not change belongs to nobody any more and is taken over.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bigbird.support import locks
from bigbird.support.errors import ServiceError


@contextmanager
def locked_in_bucket(folder: str, what: str) -> Iterator[None]:
    """Holds the lock of a folder gs://BUCKET/FOLDER while the block runs.

    Args:
        folder: the folder.
        what: who writes it, for others' messages.

    Raises:
        InputError: another process holds it; names the process.
        ServiceError: the bucket refuses, or cannot be reached.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    bucket, _, inner = folder.removeprefix("gs://").rstrip("/").partition("/")
    parent, slash, name = inner.rpartition("/")
    try:
        blob = Client().bucket(bucket).blob(f"{parent}{slash}.{name}.lock")
        holder = locks.this_holder(what)
        generation = _take(blob, folder, holder)
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise ServiceError(
            f"{folder}: cannot be locked ({' '.join(str(error).split())[:300]}); the account needs roles/storage.objectAdmin on the bucket"
        ) from None
    ended = threading.Event()
    last = [generation]
    renewing = threading.Thread(target=_renew, args=(blob, holder, last, ended), name="lock", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(GoogleAPIError, GoogleAuthError, OSError):
            blob.delete(if_generation_match=last[0])


def _take(blob: Any, folder: str, holder: dict[str, Any]) -> int:
    """Makes the lock object, or takes over one that nobody renews; gives its generation."""
    from google.api_core.exceptions import NotFound, PreconditionFailed

    expected = 0
    while True:
        try:
            return _write(blob, holder, 0, expected)
        except PreconditionFailed:
            pass
        try:
            blob.reload()
            expected, other = blob.generation, locks.parse_holder(blob.download_as_bytes())
        except NotFound:  # it ended just now
            expected = 0
            continue
        if _is_renewed(blob, folder, other, expected):
            raise locks.refusal(folder, other)


def _is_renewed(blob: Any, folder: str, holder: dict[str, Any], generation: int) -> bool:
    """Watches a lock object for as long as its holder could take to renew it."""
    from google.api_core.exceptions import NotFound

    locks.say_watching(folder, holder)
    until = time.monotonic() + locks.WATCH_S
    while time.monotonic() < until:
        time.sleep(min(2.0, locks.WATCH_S / 10))
        try:
            blob.reload()
        except NotFound:
            return False
        if blob.generation != generation:
            return True
    return False


def _write(blob: Any, holder: dict[str, Any], renewals: int, generation: int) -> int:
    """Writes the object if it still has this generation; gives its new one."""
    blob.upload_from_string(
        json.dumps({**holder, "renewals": renewals}), "application/json", if_generation_match=generation
    )
    return int(blob.generation)


def _renew(blob: Any, holder: dict[str, Any], last: list[int], ended: threading.Event) -> None:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    renewals = 0
    while not ended.wait(locks.RENEW_S):
        renewals += 1
        with suppress(GoogleAPIError, GoogleAuthError, OSError):  # the next time may do
            last[0] = _write(blob, holder, renewals, last[0])
