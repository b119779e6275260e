"""One writer at a time: a lock file for each folder that is being written.

The lock is an advisory one of the operating system (flock), which ends with its process however that ends. Processes of other
machines, and file systems that have no such locks between machines (Cloud Storage FUSE), are told by the file itself: its
holder renews it every few seconds, so a lock file that does not change belongs to nobody any more.

A holder that could not renew its lock for a while, as its machine was suspended or its network away, may have lost it to
another process. It learns so by `Held.check`, before it writes what makes its folder whole.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bigbird.support.errors import InputError, ServiceError

_log = logging.getLogger(__name__)

RENEW_S = 10.0
"""How often a holder renews its lock file."""
WATCH_S = 35.0
"""How long the lock file of another machine is watched; if it does not change, its holder is gone."""

_MOST_ATTEMPTS = 100  # after which a file system is taken to number its files anew each time
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # of this machine since it started, the same in its containers


class LockLost(InputError):
    """Another process has taken a lock over that this one held."""


class Held:
    """A lock that this process holds.

    Args:
        renew: renews it, given how often it was renewed, this time included. Raises `LockLost` where another process holds it, and
            another error where it cannot be renewed now.
    """

    def __init__(self, renew: Callable[[int], None]):
        self._renew, self._renewals = renew, 0
        self._one_at_a_time = threading.Lock()
        self._lost = ""

    def check(self) -> None:
        """Renews the lock, so that it is this process' for a while to come. Call it before writing what makes a folder whole.

        Raises:
            LockLost: another process has taken it over, and writes the folder.
            ServiceError, OSError: that cannot be found out.
        """
        with self._one_at_a_time:
            if not self._lost:
                self._renewals += 1
                try:
                    self._renew(self._renewals)
                except LockLost as error:
                    self._lost = str(error)
            if self._lost:
                raise LockLost(self._lost)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renews the lock every few seconds while the block runs.

        Raises:
            LockLost: it was lost when the block ended; an error that ended it is taken for a consequence, as the other process
                has replaced and deleted files.
        """
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEW_S):
                with suppress(Exception):  # the next time may do; one that is lost is told by `check`
                    self.check()

        renewing = threading.Thread(target=renew, name="lock", daemon=True)
        renewing.start()
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError):
                self._look()
            if self._lost and not isinstance(error, LockLost):
                raise LockLost(self._lost) from error
            raise
        else:
            self._look()
            if self._lost:
                raise LockLost(self._lost)
        finally:
            ended.set()
            renewing.join()

    def _look(self) -> None:
        """Finds out whether it was lost, where that can be."""
        with suppress(LockLost, ServiceError, OSError):
            self.check()


@contextmanager
def locked(
    folder: str | os.PathLike[str], what: str, *, inside: bool = False, while_held: Callable[[], None] | None = None
) -> Iterator[Held]:
    """Holds a folder's lock while the block runs.

    Args:
        folder: the folder that the block writes; need not exist yet.
        what: who writes it, for others' messages: "training".
        inside: keeps the lock file in the folder, which then must exist; else beside it, for folders that are replaced.
        while_held: called again and again until no other process holds it; None refuses at once.

    Raises:
        LockLost: at the end of the block: another process has taken the lock over.
        InputError: another process holds it; names the process.
        OSError: no lock file can be made there.
    """
    folder = Path(folder).resolve()
    path = folder / ".lock" if inside else folder.with_name(f".{folder.name}.lock")
    descriptor = _take(path, folder) if while_held is None else _take_when_free(path, folder, while_held)
    holder = this_holder(what)

    def is_ours(found: dict[str, Any] | None) -> bool:
        """Also where it says nothing, as a full disk has cut it."""
        return found is not None and (not found or is_holder(found, holder))

    def renew(renewals: int) -> None:
        found = _found(path)
        if not is_ours(found):
            raise lost(folder, found)
        with suppress(OSError):  # a full disk must not end the work
            _write(descriptor, holder, renewals)

    try:
        _write(descriptor, holder, 0)
        held = Held(renew)
        with held.renewed():
            yield held
    finally:
        with suppress(OSError):
            if is_ours(_found(path)):
                path.unlink(missing_ok=True)
        os.close(descriptor)


def this_holder(what: str) -> dict[str, Any]:
    """What a lock file says of its holder: this process."""
    return {
        "what": what,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "boot": _boot(),
        "token": uuid.uuid4().hex,
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _take(path: Path, folder: Path) -> int:
    """A descriptor that holds the lock file's lock."""
    attempts = 0
    while True:
        attempts += 1
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            has_locks = _lock(descriptor)
            if has_locks is None:
                raise refusal(folder, _read(descriptor))
            if (
                has_locks and attempts < _MOST_ATTEMPTS and not _is_at(path, descriptor)
            ):  # its holder deleted it just now
                os.close(descriptor)
                continue
            holder = _read(descriptor)
            if holder and not (has_locks and holder.get("boot") == _boot()) and _is_renewed(path, holder, folder):
                raise refusal(folder, holder)
        except BaseException:
            with suppress(OSError):
                os.close(descriptor)
            raise
        return descriptor


def _take_when_free(path: Path, folder: Path, while_held: Callable[[], None]) -> int:
    while True:
        try:
            return _take(path, folder)
        except InputError:
            while_held()


def _lock(descriptor: int) -> bool | None:
    """True where the lock is ours, None where another process has it, False where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_renewed(path: Path, holder: dict[str, Any], folder: Path) -> bool:
    """Watches a lock file of another machine for as long as its holder could take to renew it."""
    say_watching(folder, holder)
    until = time.monotonic() + WATCH_S
    while time.monotonic() < until:
        time.sleep(min(1.0, WATCH_S / 10))
        try:
            if parse_holder(path.read_bytes()) != holder:
                return True
        except FileNotFoundError:  # it ended just now
            return False
    return False


def say_watching(folder: str | Path, holder: dict[str, Any]) -> None:
    """Tells why nothing happens for a while."""
    _log.info(
        f"{folder}: was being written by {holder.get('what')} on {holder.get('host')}; watching for {WATCH_S:g} s to see if that process is still at work"
    )


def refusal(folder: str | Path, holder: dict[str, Any]) -> InputError:
    """What to tell who wants a folder that another process holds."""
    if not holder:
        return InputError(f"{folder}: is being written by another process; wait until it ends, or give another folder")
    return InputError(
        f"{folder}: is being written by {holder.get('what')}, process {holder.get('process')} on {holder.get('host')} since "
        f"{holder.get('since')}; wait until it ends, or give another folder"
    )


def lost(folder: str | Path, holder: dict[str, Any] | None) -> LockLost:
    """What to tell who held the lock of a folder.

    Args:
        folder: the folder.
        holder: who holds it now; None or empty where nobody does, as that process has ended.
    """
    who = "another process, which has ended, or its lock was deleted"
    if holder:
        who = (
            f"{holder.get('what')}, process {holder.get('process')} on {holder.get('host')} since {holder.get('since')}"
        )
    return LockLost(
        f"{folder}: was taken over by {who}; this process did not renew its lock for {WATCH_S:g} s (was the machine suspended, or its "
        "network away?) and stops. Start it again once the other has ended"
    )


def is_holder(found: dict[str, Any], holder: dict[str, Any]) -> bool:
    """Whether what a lock says of its holder is of this one, however often it was renewed."""
    return {**found, "renewals": 0} == {**holder, "renewals": 0}


def _found(path: Path) -> dict[str, Any] | None:
    """Who holds a lock file; empty where that cannot be read from it, None where there is none."""
    try:
        return parse_holder(path.read_bytes())
    except FileNotFoundError:
        return None


def _read(descriptor: int) -> dict[str, Any]:
    return parse_holder(os.pread(descriptor, 4096, 0))


def parse_holder(content: bytes) -> dict[str, Any]:
    """Who holds the lock; empty where nobody wrote it."""
    try:
        holder = json.loads(content)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _write(descriptor: int, holder: dict[str, Any], renewals: int) -> None:
    content = json.dumps({**holder, "renewals": renewals}).encode()
    os.pwrite(descriptor, content, 0)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)  # for other machines: Cloud Storage FUSE uploads only now


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()
