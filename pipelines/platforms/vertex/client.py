"""How Vertex AI is reached, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bigbird.support.errors import ServiceError, ServiceUnreachable
from bigbird_pipelines.team_settings import TeamSettings

_REMEDIES = {
    400: "what was sent is not accepted; `--dry-run` prints it",
    401: "run gcloud auth application-default login",
    403: (
        "you, or the service account, lack a role: roles/aiplatform.user, and roles/iam.serviceAccountUser on the service "
        "account; or the API is off. `bigbird doctor` tells which"
    ),
    409: "choose another --name",
    404: "is the project, region or id right?",
    429: "too many requests in a short time; wait a minute and run it again",
}
_QUOTA = (
    "ask for more of that quota at https://console.cloud.google.com/iam-admin/quotas, take another --machine, or --strategy "
    "spot or flex-start, which count otherwise"
)
_OTHERWISE = "it was tried several times; see https://status.cloud.google.com"


def client_options(settings: TeamSettings) -> dict[str, Any]:
    """How a client of Vertex AI is made: REST, the region's address; plain http gets no credentials."""
    from google.auth.credentials import AnonymousCredentials

    endpoint = settings.api_endpoint or f"{settings.region}-aiplatform.googleapis.com"
    options: dict[str, Any] = {"transport": "rest", "client_options": {"api_endpoint": endpoint}}
    if endpoint.startswith("http://"):
        options["credentials"] = AnonymousCredentials()
    return options


def session(settings: TeamSettings) -> Any:
    """A requests session with the user's credentials, for APIs that have no client here; plain http gets none."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    if settings.api_endpoint.startswith("http://"):
        import requests

        return requests.Session()
    credentials, _ = google.auth.default(
        scopes=["https://www.googleapis.com/auth/cloud-platform"], quota_project_id=settings.project or None
    )
    return AuthorizedSession(credentials)


def address(settings: TeamSettings, service: str) -> str:
    """Where one of Google's services is, by its short name; an endpoint of http:// stands for all of them."""
    plain = settings.api_endpoint.startswith("http://")
    return settings.api_endpoint if plain else f"https://{service}.googleapis.com"


def transient(error: Exception) -> bool:
    """Whether a call may succeed the next time."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    return isinstance(
        error,
        exceptions.ServiceUnavailable
        | exceptions.BadGateway
        | exceptions.GatewayTimeout
        | exceptions.InternalServerError
        | requests.RequestException,
    ) or (isinstance(error, GoogleAuthError) and error.retryable)


def transient_for_reading(error: Exception) -> bool:
    """Whether a look may succeed the next time: too many looks are no reason to look no more."""
    from google.api_core.exceptions import TooManyRequests

    return transient(error) or isinstance(error, TooManyRequests)


@contextmanager
def explained(action: str, settings: TeamSettings, passes: Callable[[Exception], bool] | None = None) -> Iterator[None]:
    """Turns a client's errors into `ServiceError`s that say what to do.

    Args:
        action: what was being done.
        settings: whose project and region are named.
        passes: whether an error may be gone the next time; `transient` by default.
    """
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    where = f"project {settings.project}, {settings.region}"
    try:
        yield
    except GoogleAuthError as error:
        if error.retryable:
            raise ServiceUnreachable(f"{action} ({where}): Google's sign-in cannot be reached ({error})") from None
        raise ServiceError(f"{action}: no credentials ({error}); run gcloud auth application-default login") from None
    except exceptions.GoogleAPICallError as error:
        quota = error.code == 429 and "quota" in (error.message or "").lower()
        remedy = _QUOTA if quota else _REMEDIES.get(int(error.code or 0), _OTHERWISE)
        kind = ServiceUnreachable if (passes or transient)(error) else ServiceError
        raise kind(f"{action} ({where}): {error.code} {error.message or error}; {remedy}") from None
    except requests.RequestException as error:
        raise ServiceUnreachable(
            f"{action} ({where}): the service cannot be reached ({type(error).__name__})"
        ) from None
