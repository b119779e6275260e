"""A temporary folder for each command, so that a killed one leaves nothing that nobody deletes.

Libraries put temporary files where `tempfile` and TMPDIR say: into this folder, also those of child processes. It goes
when its command ends; what a killed command left goes when the next one begins.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "bigbird-scratch-"
_open: list[Path] = []  # this process's own, the innermost last


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yields a folder that is TMPDIR for this process and its children while the block runs, then deletes it.

    A command inside another one makes its own inside the other's.

    Raises:
        OSError: there is no place for temporary files.
    """
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    # It gets its name once it is locked, so that no other command takes it for a dead one's.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=parent))
    folder = parent / f"{PREFIX}{uuid.uuid4().hex[:8]}"
    descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    _open.append(folder)
    try:
        with suppress(OSError):  # without locks it is deleted by its own command only
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(folder)
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        yield folder
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before[1]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(made, ignore_errors=True)
        os.close(descriptor)
        _open.remove(folder)


def delete_scratch_folders() -> None:
    """Deletes this process's folders; for one that ends without leaving its blocks."""
    for folder in _open:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Deletes the folders of commands of this user that have ended without deleting them."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # its command goes on
            pass
        finally:
            os.close(descriptor)
