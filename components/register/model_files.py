"""A model's folder as files of this machine: as it is, mounted, or downloaded from its bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bigbird.support.console import Progress
from bigbird.support.errors import InputError
from bigbird_components.register.api_errors import explained

MOUNT = Path("/gcs")  # where Vertex AI mounts buckets
ROLE = "roles/storage.objectViewer"


@contextmanager
def local_folder(uri: str, project: str, only: str | None = None) -> Iterator[Path]:
    """Yields a folder that holds what `uri` holds; a downloaded one vanishes afterwards.

    Args:
        uri: a folder, or gs://BUCKET/FOLDER.
        project: whose account pays for the download.
        only: the one file of it that is needed.

    Raises:
        InputError: there is no such folder, or an object's name leads out of it.
        ServiceError: the bucket cannot be read.
    """
    if not uri.startswith("gs://"):
        if not uri:
            raise InputError("it was registered without a folder of its own")
        if "://" in uri:
            raise InputError(f"{uri}: expected a folder of this machine, or gs://BUCKET/FOLDER")
        if not Path(uri).is_dir():
            raise InputError(f"{uri}: no such folder")
        yield Path(uri)
        return
    bucket, _, prefix = uri.removeprefix("gs://").strip("/").partition("/")
    if not bucket or not prefix:
        raise InputError(f"{uri}: expected gs://BUCKET/FOLDER")
    mounted = MOUNT / bucket / prefix
    if mounted.is_dir():
        yield mounted
        return
    with tempfile.TemporaryDirectory() as folder:
        with explained(uri, f"{ROLE} on its bucket"):
            _download(bucket, prefix, project, Path(folder), only)
        yield Path(folder)


def _download(bucket: str, prefix: str, project: str, folder: Path, only: str | None) -> None:
    from google.cloud.storage import Client

    client = Client(project=project)
    blobs = [blob for blob in client.list_blobs(bucket, prefix=f"{prefix}/{only or ''}") if not blob.name.endswith("/")]
    if not blobs:
        raise InputError(f"gs://{bucket}/{prefix}: holds no {only or 'file'}; it is another folder, or was deleted")
    progress = Progress(f"download gs://{bucket}/{prefix}", len(blobs))
    for number, blob in enumerate(blobs, 1):
        target = folder / _inside(blob.name.removeprefix(f"{prefix}/"), f"gs://{bucket}/{blob.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(target))
        progress.update(number)
    progress.finish()


def _inside(name: str, uri: str) -> PurePosixPath:
    """An object's name below its folder as a path; `InputError` where it would leave the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise InputError(f"{uri}: its name leads out of its folder, so it is not downloaded; delete that object")
    return path
