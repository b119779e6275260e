"""Calls of Google's APIs: repeated while the trouble passes by itself, explained where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bigbird.support.errors import ServiceError

FIRST_WAIT_S = 1.0
TIMEOUT_S = 120.0

Result = TypeVar("Result")


def retried(call: Callable[[], Result]) -> Result:
    """Calls again, with growing waits, on a lost connection and on answers that Google's APIs call transient.

    Args:
        call: may be called twice without harm.

    Raises:
        google.api_core.exceptions.RetryError: it still fails after two minutes.
    """
    from google.api_core import exceptions, retry

    def passes(error: Exception) -> bool:
        return retry.if_transient_error(error) or isinstance(error, exceptions.BadGateway | exceptions.GatewayTimeout)

    policy = retry.Retry(predicate=passes, initial=FIRST_WAIT_S, maximum=20.0, timeout=TIMEOUT_S)
    return policy(call)()


@contextmanager
def explained(resource: str, role: str) -> Iterator[None]:
    """Turns the APIs' errors into messages for the user.

    Args:
        resource: what the block asks for, as the message names it.
        role: the IAM role that allows it.

    Raises:
        ServiceError: the resource, what the API answered, and the remedy.
    """
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPICallError, RetryError, GoogleAuthError, requests.RequestException) as error:
        found = error.cause if isinstance(error, RetryError) and error.cause else error
        text = " ".join(str(found).split()).rstrip(".")
        raise ServiceError(f"{resource}: {text}. {_remedy(found, role)}") from None


def _remedy(error: Exception, role: str) -> str:
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    if isinstance(error, GoogleAuthError | exceptions.Unauthorized):
        return (
            "Sign in with `gcloud auth application-default login`, or run the step as a service account that has "
            f"{role}"
        )
    if isinstance(error, exceptions.Forbidden):
        return f"Give the account that runs this step the role {role}, and see that the API is enabled in the project"
    if isinstance(error, exceptions.NotFound):
        return "Check the project, the location and the name: there is nothing of that name, or it was deleted"
    if isinstance(error, exceptions.TooManyRequests):
        return "A quota is used up: run the step again later, or ask for more on the project's quota page"
    if isinstance(error, exceptions.ClientError):
        return "The API does not take this request as it is: correct what it names and run the step again"
    return "The service or the way to it is disturbed: run the step again later; it registers nothing twice"
