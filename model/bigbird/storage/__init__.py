"""Files wherever they lie: paths of this machine, gs:// (Cloud Storage) and s3:// (S3 and what speaks it, such as MinIO).

Buckets are reached through fsspec with gcsfs and s3fs, which are imported when the first address is. Credentials and
places come from the standard environment: application default credentials and STORAGE_EMULATOR_HOST; AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE and AWS_ENDPOINT_URL. There is one way to try again and one to tell what a service
refuses: `trouble`.
"""

from bigbird.storage.bucket_lock import locked_in_bucket
from bigbird.storage.files import create, delete, delete_objects, exists, is_file, open_file, read_bytes, write_bytes
from bigbird.storage.listing import Entry, entry_of, fingerprint, list_files, list_names, matches_here, names_in_bucket
from bigbird.storage.outputs import check_output, holds
from bigbird.storage.services import (
    FORMS,
    SERVICES,
    for_workers,
    is_reachable,
    is_remote,
    join,
    mounted,
    name,
    service_of,
    split,
)
from bigbird.storage.transfer import download, local_copy

__all__ = [
    "FORMS",
    "SERVICES",
    "Entry",
    "check_output",
    "create",
    "delete",
    "delete_objects",
    "download",
    "entry_of",
    "exists",
    "fingerprint",
    "for_workers",
    "holds",
    "is_file",
    "is_reachable",
    "is_remote",
    "join",
    "list_files",
    "list_names",
    "local_copy",
    "locked_in_bucket",
    "matches_here",
    "mounted",
    "name",
    "names_in_bucket",
    "open_file",
    "read_bytes",
    "service_of",
    "split",
    "write_bytes",
]
