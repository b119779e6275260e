"""What goes wrong with a service: waited for while it may pass, and told in one wording where it does not.

The libraries' own repetitions are off (see `backends`), so every request of every service follows the one policy here.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from bigbird.storage.services import bucket_of, service_of
from bigbird.support.errors import InputError, ServiceError, ServiceUnreachable

PATIENCE_S = 120.0
"""How long a request is tried anew while its trouble may pass."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0

_PASSING = {408, 429, 500, 502, 503, 504}
_LONGEST = 400  # characters of a service's own words
# What S3 says of keys that are wrong; it has the status 403 too.
_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}

Result = TypeVar("Result")


async def patiently(ask: Callable[[], Awaitable[Result]], patience_s: float) -> Result:
    """Asks again, with growing pauses, while the trouble may pass by itself.

    Args:
        ask: may be called twice without harm.
        patience_s: seconds after which no further attempt begins.

    Raises:
        Exception: that of the last attempt.
    """
    until, pause = time.monotonic() + patience_s, FIRST_PAUSE_S
    while True:
        try:
            return await ask()
        except Exception as error:
            # Pauses differ, so that many workers do not all come back at once.
            wait = pause * random.uniform(0.5, 1.0)
            if not may_pass(error) or time.monotonic() + wait > until:
                raise
        await asyncio.sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def may_pass(error: BaseException) -> bool:
    """Whether a request that failed so may do at another time."""
    status = status_of(error)
    return status in _PASSING if status else isinstance(error, _kinds().passing)


def status_of(error: BaseException) -> int:
    """The HTTP status behind a library's error; 0 where there was no answer, or it is not known."""
    from requests.exceptions import ProxyError

    for cause in _causes(error):
        metadata = getattr(cause, "response", None)
        if isinstance(metadata, dict):  # botocore's
            return int(metadata.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(getattr(cause, "code", "") or "")
        if code.isdigit():  # gcsfs' HttpError
            return int(code)
        if isinstance(cause, ProxyError):  # how gcsfs tells a bad gateway
            return 502
        if isinstance(cause, OSError) and str(cause).startswith("Forbidden"):
            return 403
        for kind, status in ((FileNotFoundError, 404), (FileExistsError, 412), (PermissionError, 403)):
            if isinstance(cause, kind):
                return status
    return 0


def is_conflict(error: BaseException) -> bool:
    """Whether a service did not write because the object is not what the writer expected it to be."""
    return status_of(error) in (409, 412)


@contextmanager
def explained(address: str, *, writing: bool = False) -> Iterator[None]:
    """Turns what fsspec's back-ends raise into a message: what was asked, what the service said, what to do.

    `FileNotFoundError` stays: who asks knows what it means.

    Args:
        address: what the block asks for.
        writing: whether it writes.

    Raises:
        InputError: there is no such bucket.
        ServiceError: the service refuses.
        ServiceUnreachable: it does not answer, or not in time.
    """
    try:
        yield
    except (InputError, ServiceError, FileNotFoundError):
        raise
    except Exception as error:
        told = _told(error, address, writing)
        if told is None:
            raise
        raise told from None


def no_bucket(address: str) -> InputError:
    """What to tell where the bucket of an address does not exist."""
    return InputError(f"{bucket_of(address)}: no such bucket; check its name")


def _told(error: Exception, address: str, writing: bool) -> ServiceError | None:
    service, kinds, status = service_of(address), _kinds(), status_of(error)
    said = _words(error)
    if status == 401 or _s3_code(error) in _BAD_KEYS or (not status and isinstance(error, kinds.credentials)):
        return ServiceError(
            f"{address}: no credentials were found that {service.name} accepts ({said}); {service.credentials}"
        )
    if status == 403:
        verb, right = ("write", service.may_write) if writing else ("read", service.may_read)
        return ServiceError(
            f"{address}: you may not {verb} it; ask for {right} on {bucket_of(address)}, or {service.credentials} "
            f"({service.name} said: {said})"
        )
    if may_pass(error):
        return ServiceUnreachable(f"{address}: {service.name} cannot be asked ({said}); try again later")
    if status or isinstance(error, kinds.any) or _is_bad_request(error):
        return ServiceError(f"{address}: {service.name} refuses ({said}); check the address and try again")
    return None


def _is_bad_request(error: Exception) -> bool:
    return isinstance(error, ValueError) and str(error).startswith("Bad Request")  # as gcsfs tells a 400


def _words(error: BaseException) -> str:
    """What a library says, in one line; its name where it says nothing."""
    return " ".join(str(error).split())[:_LONGEST].rstrip(".") or type(error).__name__


def _s3_code(error: BaseException) -> str:
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors that led to one, from the first: that of the library that spoke with the service."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__
    yield from reversed(chain)


class _Kinds(NamedTuple):
    credentials: tuple[type[BaseException], ...]
    passing: tuple[type[BaseException], ...]
    any: tuple[type[BaseException], ...]


@functools.cache
def _kinds() -> _Kinds:
    """The libraries' classes."""
    import aiohttp
    import requests
    from botocore import exceptions as boto
    from google.auth import exceptions as google

    credentials = (
        google.DefaultCredentialsError,
        google.RefreshError,
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.TokenRetrievalError,
        boto.ProfileNotFound,
    )
    passing = (
        TimeoutError,
        ConnectionError,
        aiohttp.ClientError,
        requests.RequestException,
        google.TransportError,
        boto.ConnectionError,
        boto.HTTPClientError,
    )
    return _Kinds(credentials, passing, (*credentials, *passing, google.GoogleAuthError, boto.BotoCoreError))
