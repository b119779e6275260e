"""No name or password of an address is ever shown."""

import pytest

from bigbird.support.addresses import never_an_address, without_password, without_passwords
from bigbird.support.errors import InputError, ServiceError, ServiceUnreachable, TrainingDiverged


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:PASS@host:8080/path", "http://***@host:8080/path"),
        ("see https://PASS@host, or http://a:PASS@b/c", "see https://***@host, or http://***@b/c"),
        ("http://user:PA@SS@host", "http://***@host"),
        ("http://user:PA/SS@host", "http://***@host"),
        ("http://user:PA?SS#@host/x", "http://***@host/x"),
        ("http://user:12/PASS@host", "http://user:12/PASS@host"),  # a host `user` with a port
        ("listing (http://user:PASS@host:9): no answer", "listing (http://***@host:9): no answer"),
        ('{"a":"http://u:PASS@host","b":"me@x.org"}', '{"a":"http://***@host","b":"me@x.org"}'),
        ("s3://KEY:PASS@bucket/run", "s3://***@bucket/run"),
    ],
)
def test_names_and_passwords_are_hidden(text, shown):
    assert without_passwords(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8080/a@b", "http://localhost:8080", "http://[::1]:8080/x@y", "gs://bucket/run@2/x", "me@x.org",
        "registry/name:tag@sha256:0123", "http://127.0.0.1:9): cannot be reached, a@b", "projects/1/models/2@default", "",
    ],
)  # fmt: skip
def test_what_holds_none_stays(text):
    assert without_passwords(text) == text


def test_one_address_may_lack_its_scheme():
    assert without_password("user:PASS@host:443") == "***@host:443"
    assert without_password("europe-west4-aiplatform.googleapis.com") == "europe-west4-aiplatform.googleapis.com"
    assert without_password("http://user:PASS@host") == "http://***@host"


def test_of_what_is_no_address_all_is_hidden_that_may_be_a_password():
    assert never_an_address("http://user:PA SS/x@host") == "http://***@host"
    assert never_an_address("user:PASS@host") == "***@host"
    assert never_an_address("localhost") == "localhost"


@pytest.mark.parametrize("kind", [InputError, ServiceError, ServiceUnreachable, TrainingDiverged])
def test_no_error_of_ours_shows_one(kind):
    assert str(kind("http://user:PASS@host/: refused")) == "http://***@host/: refused"
