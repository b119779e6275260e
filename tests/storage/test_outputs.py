"""Where a stage may write: never where its input lies."""

import pytest

from bigbird.storage import check_output
from bigbird.support.errors import InputError


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("gs://b/project", "gs://b/project"),
        ("gs://b/project", "gs://b/project/raw/*.csv"),
        ("gs://b/project/", "/gcs/b/project/raw"),
        ("/gcs/b/project", "gs://b/project/raw/rows.csv"),
        ("/gcs/b/project", "/gcs/b/project/raw"),
    ],
)
def test_an_output_that_holds_what_is_read_is_refused_however_it_is_spelt(target, path):
    with pytest.raises(InputError, match=r"is the output folder and holds .*; give another output folder"):
        check_output(target, [path])


@pytest.mark.parametrize(
    "path", ["gs://b/project2/raw", "/gcs/b/project2", "gs://b", "s3://b/project/raw", "/b/project"]
)
def test_an_output_beside_or_inside_what_is_read_is_none(path):
    check_output("gs://b/project", [path])
