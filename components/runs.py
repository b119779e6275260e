"""How a run on Vertex AI or Kubeflow stands: its steps, their errors and where their logs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bigbird.support.addresses import without_password, without_passwords

# Vertex's and Kubeflow's words for a state, in one spelling.
_STATES = {
    "CANCELED": "CANCELLED",
    "CANCELING": "RUNNING",
    "CANCELLING": "RUNNING",
    "CANCEL_PENDING": "RUNNING",
    "NOT_TRIGGERED": "SKIPPED",
    "QUEUED": "PENDING",
    "STATE_UNSPECIFIED": "PENDING",
    "UNSPECIFIED": "PENDING",
    "RUNTIME_STATE_UNSPECIFIED": "PENDING",
}
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        name: as in the pipeline: preprocess, train, …
        state: PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED, SKIPPED or PAUSED.
        cached: whether an earlier run's result was taken.
        error: why it failed, in the backend's words.
        logs: link to its logs; empty where there are none.
        job: the id of the Vertex AI job that ran it.
    """

    name: str
    state: str
    cached: bool = False
    error: str = ""
    logs: str = ""
    job: str = ""


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        name: what people call it.
        state: as a step's.
        steps: in the order in which they were started.
        failed: the step that failed first, and not because of another; None where none did.
        metrics: of the evaluation, where the backend tells them.
        link: to its page.
        error: of the run as a whole.
    """

    name: str
    state: str
    steps: tuple[Step, ...]
    failed: Step | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    link: str = ""
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


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
        state=_state(job.state.name.removeprefix("PIPELINE_STATE_")),
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
        state=_state(task.state.name),
        cached=task.state.name == "SKIPPED",
        error=_shown(task.error.message) if task.error else "",
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
        state = _state(str(task.state or "PENDING"))
        steps.append(Step(task.display_name, state, state == "SKIPPED", _shown(error), link))
    return Run(
        name=run.display_name,
        state=_state(str(run.state or "PENDING")),
        steps=tuple(steps),
        failed=next((step for step in steps if step.state == "FAILED"), None),
        link=link,
        error=without_passwords(run.error.message) if run.error and run.error.message else "",
    )


def run_link(host: str, identifier: str) -> str:
    """The page of a run on Kubeflow, without the address's password; empty where its address is not known."""
    return f"{without_password(host).rstrip('/')}/#/runs/details/{identifier}" if host else ""


# What Kubeflow adds to a pipeline's own steps: the drivers that prepare them, the pods they run in, groups of them.
_ADDED = ("root", "executor")


def _is_step(task: Any) -> bool:
    name = task.display_name
    return (
        name not in _ADDED
        and not name.endswith("-driver")
        and not name.startswith(("exit-handler", "condition", "iteration"))
    )


def _shown(error: str) -> str:
    """An error in one line."""
    return " ".join(without_passwords(error).split())


def _state(name: str) -> str:
    return _STATES.get(name, name)
