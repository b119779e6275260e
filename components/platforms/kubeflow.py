"""Runs on Kubeflow Pipelines as its API tells them."""

from __future__ import annotations

import os
from typing import Any

from bigbird.support.addresses import without_passwords
from bigbird_components.runs import Run, Step, known_state, one_line, run_link

# Where the API is inside a cluster, the variable that names another place, and a step's token: as kfp has them.
API = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
ENDPOINT = "KF_PIPELINES_ENDPOINT"
TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - the file that holds it


def kubeflow_run(run: Any, host: str = "") -> Run:
    """A run on Kubeflow Pipelines.

    Args:
        run: kfp_server_api.V2beta1Run.
        host: address of the installation, for links.
    """
    details = [task for task in (run.run_details.task_details if run.run_details else None) or [] if task.display_name]
    named = sorted((task for task in details if _is_step(task)), key=lambda task: str(task.start_time or ""))
    link = run_link(host, run.run_id)
    by_pod = {task.pod_name: task for task in details if task.pod_name}
    steps = []
    for task in named:
        below = [by_pod[child.pod_name] for child in task.child_tasks or [] if child.pod_name in by_pod]
        error = next((other.error.message for other in [task, *below] if other.error and other.error.message), "")
        state = known_state(str(task.state or "PENDING"))
        steps.append(Step(task.display_name, state, state == "SKIPPED", one_line(error), link))
    return Run(
        name=run.display_name,
        state=known_state(str(run.state or "PENDING")),
        steps=tuple(steps),
        failed=next((step for step in steps if step.state == "FAILED"), None),
        link=link,
        error=without_passwords(run.error.message) if run.error and run.error.message else "",
    )


# What Kubeflow adds to a pipeline's own steps: the drivers that prepare them, the pods they run in, groups of them.
_ADDED = ("root", "executor")


def _is_step(task: Any) -> bool:
    name = task.display_name
    return (
        name not in _ADDED
        and not name.endswith("-driver")
        and not name.startswith(("exit-handler", "condition", "iteration"))
    )


def run_of_step(*, identifier: str, host: str, **_: str) -> Run:
    """The run that a step belongs to, by its id."""
    return kubeflow_run(_runs().run_service_get_run(run_id=identifier), host)


def webhook_address(**_: str) -> str:
    """Empty: Kubernetes puts its secret into the step's environment."""
    return ""


def _runs() -> Any:
    """The cluster's own API, with the step's token where there is one. kfp.Client cannot be imported inside a step."""
    from pathlib import Path

    import kfp_server_api

    configuration = kfp_server_api.Configuration(host=os.environ.get(ENDPOINT, API))
    token = Path(TOKEN)
    if token.is_file():
        configuration.api_key["authorization"] = token.read_text(encoding="utf-8").strip()
        configuration.api_key_prefix["authorization"] = "Bearer"
    return kfp_server_api.RunServiceApi(kfp_server_api.ApiClient(configuration))
