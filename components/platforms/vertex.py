"""Runs on Vertex AI as its API tells them, and secrets in Secret Manager."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from bigbird.support.addresses import without_passwords
from bigbird.support.errors import InputError
from bigbird_components.runs import Run, Step, known_state, one_line

ENDPOINT = "https://secretmanager.googleapis.com"
_TIMEOUT_S = 30.0


def vertex_run(job: Any) -> Run:
    """A run on Vertex AI.

    Args:
        job: google.cloud.aiplatform_v1.types.PipelineJob.
    """
    project, identifier = (job.name.split("/")[i] for i in (1, 5))
    tasks = sorted(
        job.job_detail.task_details,
        key=lambda task: (task.create_time.timestamp() if task.create_time else 0, task.task_id),
    )
    steps = {task.task_id: _vertex_step(task, project) for task in tasks}
    # A group of steps, as a branch of the gate, fails with the step in it; it has no executor.
    groups = {task.parent_task_id for task in tasks}
    alone = [steps[task.task_id] for task in tasks if task.task_id not in groups]
    return Run(
        name=job.display_name or identifier,
        state=known_state(job.state.name.removeprefix("PIPELINE_STATE_")),
        steps=tuple(alone),
        failed=next((step for step in alone if step.state == "FAILED"), None),
        metrics=_vertex_metrics(tasks),
        link=vertex_link(job.name),
        error=without_passwords(job.error.message) if job.error else "",
    )


def vertex_link(name: str) -> str:
    """The page of a run, by its resource name."""
    project, location, identifier = (name.split("/")[i] for i in (1, 3, 5))
    return (
        f"https://console.cloud.google.com/vertex-ai/locations/{location}/pipelines/runs/{identifier}?project={project}"
    )


def _vertex_step(task: Any, project: str) -> Step:
    detail = task.executor_detail
    resource = detail.custom_job_detail.job or detail.container_detail.main_job or ""
    job = resource.rpartition("/")[2]
    query = quote(f'resource.type="ml_job"\nresource.labels.job_id="{job}"', safe="")
    return Step(
        name=task.task_name,
        state=known_state(task.state.name),
        cached=task.state.name == "SKIPPED",
        error=one_line(task.error.message) if task.error else "",
        logs=f"https://console.cloud.google.com/logs/query;query={query}?project={project}" if job else "",
        job=job,
    )


def _vertex_metrics(tasks: list[Any]) -> dict[str, float]:
    for task in tasks:
        artifacts = task.outputs.get("metrics") if task.task_name == "evaluate" else None
        for artifact in artifacts.artifacts if artifacts else ():
            found = {name: value for name, value in artifact.metadata.items() if isinstance(value, int | float)}
            return dict(sorted(found.items(), key=lambda item: (item[0] == "baseline", item[0])))
    return {}


def run_of_step(*, job: str, **_: str) -> Run:
    """The run that a step belongs to, by the resource name of its pipeline job."""
    from google.cloud import aiplatform

    return vertex_run(aiplatform.PipelineJob.get(job).gca_resource)


def webhook_address(*, secret: str, project: str) -> str:
    """The webhook's address: the latest version of a secret in Secret Manager.

    Raises:
        InputError: it is not there, or may not be read.
    """
    import base64

    import google.auth
    import requests
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    endpoint = os.environ.get("BIGBIRD_SECRET_MANAGER", ENDPOINT)
    url = f"{endpoint}/v1/projects/{project}/secrets/{secret}/versions/latest:access"
    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        answer = AuthorizedSession(credentials).get(url, timeout=_TIMEOUT_S)
    except (GoogleAuthError, requests.RequestException) as error:
        raise InputError(f"secret {secret} of project {project}: Secret Manager cannot be asked ({error})") from None
    if answer.status_code != 200:
        raise InputError(
            f"secret {secret} of project {project}: Secret Manager answered {answer.status_code}; expected a secret that this "
            "step's service account may read (roles/secretmanager.secretAccessor)"
        )
    return base64.b64decode(answer.json()["payload"]["data"]).decode().strip()
