"""One writer at a time for a folder of a bucket: a lock object that only one process can make.

A service writes the object only if it has the version that the writer names, or is not there yet. The holder writes its
object anew every few seconds. One that does not change belongs to nobody any more and is taken over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from bigbird.storage.backends import backend
from bigbird.storage.files import read_bytes
from bigbird.storage.listing import entry_of
from bigbird.storage.services import split
from bigbird.storage.trouble import explained, is_conflict, no_bucket
from bigbird.support import locks
from bigbird.support.errors import InputError, ServiceError


@contextmanager
def locked_in_bucket(folder: str, what: str) -> Iterator[locks.Held]:
    """Holds the lock of a folder of a bucket while the block runs.

    Args:
        folder: its address.
        what: who writes it, for others' messages.

    Raises:
        LockLost: at the end of the block: another process has taken the lock over.
        InputError: another process holds it; names the process. Or there is no such bucket.
        ServiceError: the bucket refuses, or cannot be reached.
    """
    if not split(folder.rstrip("/"))[1]:
        raise InputError(f"{folder}: is a whole bucket; expected a folder in it")
    above, _, name = folder.rstrip("/").rpartition("/")
    place = f"{above}/.{name}.lock"
    holder = locks.this_holder(what)
    with _told(folder):
        lock = backend(place)
        version = _take(lock, place, folder, holder)

    def renew(renewals: int) -> None:
        nonlocal version
        version = _renewed(lock, place, folder, holder, version, renewals)

    try:
        held = locks.Held(renew)
        with held.renewed():
            yield held
    finally:
        with suppress(ServiceError, OSError), explained(place, writing=True):
            lock.delete_if(place, version)


@contextmanager
def _told(folder: str) -> Iterator[None]:
    """Says that it is the lock that a service refuses."""
    try:
        with explained(folder, writing=True):
            yield
    except FileNotFoundError:
        raise no_bucket(folder) from None
    except ServiceError as error:
        raise type(error)(f"{folder}: cannot be locked ({error})") from None


def _take(lock: Any, place: str, folder: str, holder: dict[str, Any]) -> str:
    """Makes the lock object, or takes over one that nobody renews; gives its version."""
    expected = ""
    while True:
        try:
            return str(lock.write_if(place, _content(holder, 0), expected))
        except Exception as error:
            if not (is_conflict(error) or (expected and isinstance(error, FileNotFoundError))):
                raise
        found = entry_of(place)
        if found is None:  # it ended just now
            expected = ""
            continue
        try:
            other = locks.parse_holder(read_bytes(place))
        except InputError:
            expected = ""
            continue
        expected = found.version
        if locks.is_holder(other, holder):  # the answer to an earlier attempt was lost
            return expected
        if _is_renewed(place, folder, other, expected):
            raise locks.refusal(folder, other)


def _is_renewed(place: str, folder: str, holder: dict[str, Any], version: str) -> bool:
    """Watches a lock object for as long as its holder could take to renew it."""
    locks.say_watching(folder, holder)
    until = time.monotonic() + locks.WATCH_S
    while time.monotonic() < until:
        time.sleep(min(2.0, locks.WATCH_S / 10))
        found = entry_of(place)
        if found is None:
            return False
        if found.version != version:
            return True
    return False


def _content(holder: dict[str, Any], renewals: int) -> bytes:
    return json.dumps({**holder, "renewals": renewals}).encode()


def _renewed(lock: Any, place: str, folder: str, holder: dict[str, Any], version: str, renewals: int) -> str:
    """Writes the lock object of a version anew; gives its new version.

    Raises:
        LockLost: it is another's, or gone.
        ServiceError: the bucket refuses, or cannot be reached.
    """
    with explained(place, writing=True):
        try:
            return str(lock.write_if(place, _content(holder, renewals), version))
        except Exception as error:
            if not (is_conflict(error) or isinstance(error, FileNotFoundError)):
                raise
        found = entry_of(place)
        try:
            other = locks.parse_holder(read_bytes(place))
        except InputError:  # it is gone
            other = {}
        if found is None or not locks.is_holder(other, holder):
            raise locks.lost(folder, other)
        return found.version  # the answer to an earlier attempt was lost, which did renew it
