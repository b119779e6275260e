"""Posts how a run ended to a webhook: the run, the failed step, its error, the metrics and links.

The webhook's address is a secret, since whoever knows it can post: it stands in Secret Manager or in a Kubernetes secret,
never in a pipeline's specification, parameters or logs.
"""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from bigbird.support.addresses import without_passwords
from bigbird.support.errors import InputError
from bigbird_components.gate import is_set
from bigbird_components.runs import Run, run_link

_log = logging.getLogger(__name__)

WEBHOOK = "BIGBIRD_WEBHOOK"
"""The environment variable into which Kubernetes puts the address."""

# These refuse a message with fields that they do not know.
_TEXT_ONLY = ("chat.googleapis.com",)
_TIMEOUT_S = 30.0
_RETRIES = 4


def notify(
    platform: str,
    secret: str,
    *,
    run_name: str,
    run_id: str,
    host: str,
    project: str,
    state: str,
    job: str,
    error: str,
) -> dict[str, Any]:
    """Posts how a run ended.

    Args:
        platform: the name of a module of `bigbird_components.platforms`.
        secret: name of the secret that holds the webhook's address, unless the environment has it.
        run_name, run_id: of the run.
        host: the platform's address, for links.
        project: the secret's.
        state: of the steps before this one: SUCCEEDED, FAILED or CANCELLED.
        job: resource name of the pipeline job, where the platform has one.
        error: in the backend's words.

    Returns:
        What was posted.

    Raises:
        InputError: the secret cannot be read, or the webhook refuses the message.
    """
    place = import_module(f"bigbird_components.platforms.{platform}")
    address = _checked(os.environ.get(WEBHOOK, "") or place.webhook_address(secret=secret, project=project))
    run = _run(place, run_name, run_id, host, job)
    body = message(run, state, error)
    post(address, body)
    return body


def announce(
    run_name: str, run_id: str, host: str, metric_name: str, metric: float, metric_threshold: float, passed: bool
) -> dict[str, Any]:
    """Posts a run's evaluation.

    Args:
        run_name, run_id, host: as for `notify`.
        metric_name, metric: the primary one.
        metric_threshold, passed: of the gate before export.

    Returns:
        What was to be posted; where it cannot be, the log says why.
    """
    verdict = "reached, so it is exported" if passed else "missed, so nothing is exported"
    gate = (
        f"threshold {metric_threshold:.4f} {verdict}"
        if is_set(metric_threshold)
        else "no threshold was set, so it is exported"
    )
    link = run_link(host, run_id)
    body = {
        "text": f"BigBird run {run_name}: evaluated\n{metric_name} {metric:.4f}; {gate}"
        + (f"\nrun: {link}" if link else ""),
        "run": run_name,
        "state": "RUNNING",
        "step": "evaluate",
        "error": None,
        "metrics": {metric_name: metric},
        "links": {"run": link} if link else {},
    }
    try:
        post(_checked(os.environ.get(WEBHOOK, "")), body)
    except InputError as error:  # news of a run is no reason for it to fail
        _log.warning(f"not announced: {error}")
    return body


def _checked(address: str) -> str:
    """The address without what stands around it: a secret that was made from a file ends with a line feed."""
    address = address.strip()
    if not address:
        raise InputError(
            f"no webhook: the environment's {WEBHOOK} is empty; expected Kubernetes' secret to fill it, key url"
        )
    return address


def _run(place: Any, name: str, identifier: str, host: str, job: str) -> Run:
    """What the backend says of the run; the bare name where it does not answer, since bad news should arrive anyway."""
    try:
        run: Run = place.run_of_step(identifier=identifier, host=host, job=job)
        return run
    except Exception as error:  # noqa: BLE001 - whatever a client raises
        _log.warning(f"the run's steps are not known: {without_passwords(str(error))}")
        return Run(name, "RUNNING", ())


def message(run: Run, state: str, error: str = "") -> dict[str, Any]:
    """The message: `text` for people and chat rooms, the rest for programs.

    Args:
        run: as the backend tells it; still running, as this step belongs to it.
        state: how the steps before ended.
        error: the backend's word for the whole, where no step's is known.
    """
    failed = run.failed
    why = (failed.error if failed else "") or error or run.error
    lines = [f"BigBird run {run.name}: {state.lower()}"]
    if state != "SUCCEEDED":
        lines += [f"step {failed.name}: {why}" if failed else why] if failed or why else []
    if run.metrics:
        lines.append(", ".join(f"{name} {value:.4f}" for name, value in run.metrics.items()))
    links = {name: link for name, link in (("run", run.link), ("logs", failed.logs if failed else "")) if link}
    lines += [f"{name}: {link}" for name, link in links.items()]
    return {
        "text": "\n".join(lines),
        "run": run.name,
        "state": state,
        "step": failed.name if failed else None,
        "error": why or None,
        "metrics": dict(run.metrics),
        "links": links,
    }


def post(address: str, body: dict[str, Any]) -> None:
    """Sends a message; answers of 429 and 5xx are tried again.

    Raises:
        InputError: it does not arrive; the address, which is a secret, is not in the message.
    """
    import logging

    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    host = urlsplit(address).hostname
    if urlsplit(address).scheme not in ("http", "https") or not host:
        raise InputError("the webhook's secret does not hold an address; expected https://…")
    if host in _TEXT_ONLY:
        body = {"text": body["text"]}
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings hold the path, which is the secret
    retry = Retry(
        _RETRIES,
        read=0,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("POST",),
        raise_on_status=False,
    )
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        try:
            answer = session.post(address, json=body, timeout=_TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            raise InputError(f"the webhook at {host} cannot be reached ({type(error).__name__})") from None
    if answer.status_code >= 300:
        raise InputError(
            f"the webhook at {host} answered {answer.status_code}; is its secret up to date?"  # its text may hold the path
        )
