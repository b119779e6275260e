"""The pipeline as it is to run on Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from bigbird.support.errors import InputError
from bigbird_pipelines.images import Backend
from bigbird_pipelines.machines import MACHINES, STEP_RESOURCES, Strategy, check_backend, check_strategy
from bigbird_pipelines.platforms.service import NEVER_CACHED
from bigbird_pipelines.platforms.target import Target, notify_task
from bigbird_pipelines.team_settings import TeamSettings, require

_API_STRATEGIES: dict[Strategy, str] = {"standard": "STANDARD", "spot": "SPOT", "flex-start": "FLEX_START"}
MAX_WAIT_HOURS = 24.0  # for a machine to become free, with flex-start


@dataclass(frozen=True, kw_only=True)
class VertexTarget(Target):
    """Vertex AI: training is a custom job on `machine`.

    Attributes:
        settings: of the project.
        machine: a name of `MACHINES`.
        strategy: how the machine is lent.
        timeout_hours: after which training is stopped.
        max_wait_hours: for a machine to become free, with flex-start.
    """

    settings: TeamSettings
    machine: str = "tpu-v5e-1"
    strategy: Strategy = "standard"
    timeout_hours: float = 24.0
    max_wait_hours: float = MAX_WAIT_HOURS

    def train(self, component: BaseComponent) -> BaseComponent:
        """The component as a custom job; a restart after a preemption goes on from the last checkpoint."""
        from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component

        machine = MACHINES[self.machine]
        job = create_custom_training_job_from_component(
            component,
            display_name="bigbird-train",
            machine_type=machine.machine_type,
            accelerator_type=machine.accelerator,
            accelerator_count=machine.chips if machine.accelerator else 1,
            timeout=_seconds(self.timeout_hours),
            strategy=_API_STRATEGIES[self.strategy],
            max_wait_duration=_seconds(self.max_wait_hours),
            restart_job_on_worker_restart=True,
            service_account=self.settings.service_account,
            network=self.settings.network,
            labels={"bigbird": "train"},
        )
        if machine.topology:  # the API has it, the function above does not
            for pool in job.component_spec.inputs["worker_pool_specs"].default:
                pool["machine_spec"]["tpu_topology"] = machine.topology
        return job

    def place(self, step: str, task: Any) -> Any:
        """Gives a step its CPUs and memory, and keeps it out of the cache where its result does not only depend on its inputs."""
        if step in NEVER_CACHED:
            task.set_caching_options(enable_caching=False)
        if step in STEP_RESOURCES:
            resources = STEP_RESOURCES[step]
            task.set_cpu_limit(str(resources.cpus)).set_memory_limit(f"{resources.memory_gib}G")
        return task

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Sends mails, or posts to the webhook, when the run ended."""
        if self.settings.notify_emails:
            from google_cloud_pipeline_components.v1.vertex_notification_email import VertexNotificationEmailOp

            with dsl.ExitHandler(
                VertexNotificationEmailOp(recipients=list(self.settings.notify_emails)), name="finetune"
            ):
                yield
        elif self.settings.notify_webhook:
            with dsl.ExitHandler(self.place("notify", notify_task(self, self.settings, "vertex")), name="finetune"):
                yield
        else:
            yield


def vertex_target(
    images: Any,
    settings: TeamSettings,
    machine: str,
    strategy: Strategy | None = None,
    timeout_hours: float = 24.0,
    max_wait_hours: float = MAX_WAIT_HOURS,
    dataflow: bool = False,
    backend: Backend | None = None,
) -> VertexTarget:
    """The target of a project and a machine.

    Args:
        images: what the steps run in; training's must be the machine's and the backend's.
        settings: needs project and region, with `dataflow` also bucket.
        machine: a name of `MACHINES`.
        strategy: how it is lent; the machine's usual way where None.
        timeout_hours, max_wait_hours: see `VertexTarget`.
        dataflow: whether preprocessing's default is Dataflow.
        backend: what trains; the machine's default where None.

    Raises:
        InputError: a setting is missing, or does not go with another.
    """
    require(settings, "project", "region")
    if settings.notify_emails and settings.notify_webhook:
        raise InputError(
            "notify_emails and notify_webhook are both set; a pipeline has one exit task, so expected one of them"
        )
    images.need("register", "registering a model")
    images.need("serve", "registering a model")
    return VertexTarget(
        images=images,
        remote=True,
        registers=True,
        runtime=MACHINES[machine].runtime(check_backend(machine, backend)),
        beam_options=dataflow_options(images, settings) if dataflow else "",
        project=settings.project,
        location=settings.region,
        settings=settings,
        machine=machine,
        strategy=check_strategy(machine, strategy),
        timeout_hours=timeout_hours,
        max_wait_hours=max_wait_hours,
    )


def dataflow_options(images: Any, settings: TeamSettings) -> str:
    """Beam's options for preprocessing on Dataflow, in workers that install nothing.

    Raises:
        InputError: the settings or the workers' image are missing.
    """
    require(settings, "project", "region", "bucket")
    options = {
        "runner": "DataflowRunner",
        "project": settings.project,
        "region": settings.region,
        "temp_location": f"{settings.bucket.rstrip('/')}/dataflow",
        "sdk_container_image": images.need("preprocess_dataflow", "Dataflow"),
        "sdk_location": "container",
        "experiments": "use_runner_v2",
        "service_account_email": settings.service_account,
        "network": settings.network.rpartition("/")[2] if not settings.subnetwork else "",
        "subnetwork": settings.subnetwork,
    }
    return " ".join(f"--{name}={value}" for name, value in options.items() if value)


def _seconds(hours: float) -> str:
    """A duration as the API writes it."""
    return f"{round(hours * 3600)}s"
