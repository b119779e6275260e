"""The storage services that addresses name, and where one ends and the folder begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bigbird.support.errors import InputError

MOUNT = "/gcs"
"""Where Vertex AI mounts buckets of Cloud Storage; remote workers have no such mount."""


@dataclass(frozen=True)
class Service:
    """What messages say of a service.

    Attributes:
        name: as people call it.
        credentials: how to get some.
        may_read: the right to read a bucket.
        may_write: the right to write into one.
    """

    name: str
    credentials: str
    may_read: str
    may_write: str


SERVICES = {
    "gs": Service(
        "Cloud Storage",
        "run gcloud auth application-default login",
        "roles/storage.objectViewer",
        "roles/storage.objectAdmin",
    ),
    "s3": Service(
        "S3",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for another service than AWS, such as MinIO, "
        "AWS_ENDPOINT_URL too",
        "s3:GetObject and s3:ListBucket",
        "s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket",
    ),
}
"""By the scheme of an address."""
FORMS = " or ".join(f"{scheme}://BUCKET/PATH" for scheme in SERVICES)
"""The addresses that can be reached, for messages."""


def is_remote(path: str) -> bool:
    """Whether a path names an object or folder of a service, and no file of this machine."""
    return "://" in path


def is_reachable(path: str) -> bool:
    """Whether a path names something in a bucket of a service that this package can reach."""
    scheme, colon, rest = path.partition("://")
    return bool(colon) and scheme in SERVICES and bool(rest.partition("/")[0])


def service_of(address: str) -> Service:
    """The service that an address names.

    Raises:
        InputError: none that is known, or no bucket.
    """
    if not is_reachable(address):
        raise InputError(f"{address}: cannot be reached from here; expected a path of this machine, {FORMS}")
    return SERVICES[address.partition("://")[0]]


def for_workers(path: str) -> str:
    """The name under which other machines find a mounted bucket's file."""
    mount = f"{MOUNT}/"
    return f"gs://{path.removeprefix(mount)}" if path.startswith(mount) else path


def mounted(address: str) -> Path | None:
    """The folder under which a bucket's folder is mounted here; None where it is not."""
    place = Path(MOUNT, address.removeprefix("gs://"))
    return place if address.startswith("gs://") and place.is_dir() else None


def split(address: str) -> tuple[str, str]:
    """The bucket of an address, and the name in it."""
    bucket, _, key = address.partition("://")[2].partition("/")
    return bucket, key


def bucket_of(address: str) -> str:
    """The address of the bucket alone."""
    return "/".join(address.split("/")[:3])


def join(folder: str, *names: str) -> str:
    """A path inside a folder."""
    if not is_remote(folder):
        return os.path.join(folder, *names)  # noqa: PTH118 - a path stays as it is written
    for name in names:
        folder = f"{folder.rstrip('/')}/{name.lstrip('/')}"
    return folder


def name(path: str) -> str:
    """The last part of a path."""
    return path.replace(os.sep, "/").rpartition("/")[2]
