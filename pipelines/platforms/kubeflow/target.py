"""The pipeline as it is to run on Kubeflow Pipelines, on GKE where training needs a TPU or GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kfp import dsl

from bigbird.support.addresses import without_password
from bigbird.support.errors import InputError
from bigbird_components.notify.component import announce_component
from bigbird_components.notify.notify import WEBHOOK
from bigbird_pipelines.images import Backend
from bigbird_pipelines.machines import MACHINES, STEP_RESOURCES, Strategy, check_backend
from bigbird_pipelines.platforms.service import NEVER_CACHED
from bigbird_pipelines.platforms.target import Target, notify_task
from bigbird_pipelines.team_settings import TeamSettings

# GKE's node labels and the taints that keep other pods away,
# https://cloud.google.com/kubernetes-engine/docs/how-to/tpus and …/gpus and …/spot-vms.
_TPU_LABEL, _TPU_TOPOLOGY_LABEL = "cloud.google.com/gke-tpu-accelerator", "cloud.google.com/gke-tpu-topology"
_GPU_LABEL, _SPOT_LABEL = "cloud.google.com/gke-accelerator", "cloud.google.com/gke-spot"
_SYSTEM_SHARE = 0.9  # of a node's CPUs and memory; the rest is the system's
_SPOT_RETRIES = 3


@dataclass(frozen=True, kw_only=True)
class KubeflowTarget(Target):
    """Kubeflow Pipelines: training's pod goes to a node of `machine`.

    Attributes:
        settings: of the installation.
        machine: a name of `MACHINES`.
        strategy: standard or spot.
        timeout_hours: after which training is stopped.
    """

    settings: TeamSettings
    machine: str = "cpu"
    strategy: Strategy = "standard"
    timeout_hours: float = 24.0

    def place(self, step: str, task: Any) -> Any:
        """Gives a step its resources and its node, and keeps it out of the cache where it must not be."""
        if step in NEVER_CACHED:
            task.set_caching_options(enable_caching=False)
        if step == "train":
            self._place_training(task)
        elif step in STEP_RESOURCES:
            resources = STEP_RESOURCES[step]
            _limit(task, resources.cpus, resources.memory_gib)
        return task

    def _place_training(self, task: Any) -> None:
        from kfp import kubernetes

        machine = MACHINES[self.machine]
        _limit(task, max(1, int(machine.cpus * _SYSTEM_SHARE)), max(1, int(machine.memory_gib * _SYSTEM_SHARE)))
        kubernetes.set_timeout(task, seconds=round(self.timeout_hours * 3600))
        if machine.resource:
            task.set_accelerator_type(machine.resource).set_accelerator_limit(machine.chips)
            kubernetes.add_node_selector(task, _TPU_LABEL if machine.is_tpu else _GPU_LABEL, machine.node_label)
            kubernetes.add_toleration(task, key=machine.resource, operator="Exists", effect="NoSchedule")
        if machine.is_tpu:
            kubernetes.add_node_selector(task, _TPU_TOPOLOGY_LABEL, machine.topology)
        if self.strategy == "spot":
            kubernetes.add_node_selector(task, _SPOT_LABEL, "true")
            kubernetes.add_toleration(task, key=_SPOT_LABEL, operator="Equal", value="true", effect="NoSchedule")
            task.set_retry(_SPOT_RETRIES)

    def evaluated(self, evaluation: Any, metric_threshold: Any) -> None:
        """Posts the metric to the webhook: Kubeflow's API tells the exit task of errors, not of metrics."""
        if self.settings.notify_webhook:
            task = announce_component(self.images.preprocess)(
                run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
                run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                host=without_password(self.settings.host),
                metric_name=evaluation.outputs["metric_name"],
                metric=evaluation.outputs["metric"],
                metric_threshold=metric_threshold,
                passed=evaluation.outputs["passed"],
            )
            self._give_webhook(self.place("announce", task))

    def _give_webhook(self, task: Any) -> None:
        from kfp import kubernetes

        kubernetes.use_secret_as_env(task, self.settings.notify_webhook, {"url": WEBHOOK})

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Posts to the webhook when the run ended; its address comes from a Kubernetes secret."""
        if not self.settings.notify_webhook:
            yield
            return
        task = self.place("notify", notify_task(self, self.settings, "kubeflow"))
        self._give_webhook(task)
        with dsl.ExitHandler(task, name="finetune"):
            yield


def _limit(task: Any, cpus: int, memory_gib: int) -> None:
    """Asks for half of what a step may use: it starts on a fuller node, and is not throttled on an empty one."""
    task.set_cpu_request(str(max(1, cpus // 2))).set_cpu_limit(str(cpus))
    task.set_memory_request(f"{max(1, memory_gib // 2)}Gi").set_memory_limit(f"{memory_gib}Gi")


def kubeflow_target(
    images: Any,
    settings: TeamSettings,
    machine: str,
    strategy: Strategy | None = None,
    timeout_hours: float = 24.0,
    backend: Backend | None = None,
) -> KubeflowTarget:
    """The target of an installation and a machine.

    Args:
        images: what the steps run in; training's must be the machine's and the backend's.
        settings: of the installation.
        machine: a name of `MACHINES`.
        strategy: how the machine is lent; standard where None.
        timeout_hours: after which training is stopped.
        backend: what trains; the machine's default where None.

    Raises:
        InputError: the settings or the strategy are not Kubeflow's.
    """
    if strategy == "flex-start":
        raise InputError("--strategy flex-start: works only on Vertex AI; expected standard or spot on Kubeflow")
    return KubeflowTarget(
        images=images,
        remote=True,
        runtime=MACHINES[machine].runtime(check_backend(machine, backend)),
        settings=settings,
        machine=machine,
        strategy=strategy or "standard",
        timeout_hours=timeout_hours,
    )
