"""Kubeflow Pipelines: runs and recurring runs of an installation, training on nodes of its cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from bigbird_pipelines.images import Images
from bigbird_pipelines.platforms.platform import Finding, Placement, RemotePlatform
from bigbird_pipelines.platforms.service import PipelineService
from bigbird_pipelines.team_settings import TeamSettings

if TYPE_CHECKING:
    from bigbird_pipelines.platforms.target import Target


class Kubeflow(RemotePlatform):
    """An installation of Kubeflow Pipelines."""

    name = "kubeflow"
    title = "Kubeflow"
    requirements = ("kfp", "kfp-kubernetes", "gcsfs", "s3fs")
    default_machine = "cpu"
    recurring = "Kubeflow's recurring runs"
    time_zones = False
    no_registry = "only Vertex AI has the Model Registry; expected a path on this target"
    examples: ClassVar = {
        "compile": ("bigbird compile --target kubeflow --machine gpu-l4 --images build/images.json",),
        "submit": (
            "bigbird submit --target kubeflow --host http://localhost:8080 --task sst2 --data gs://bucket/SST-2",
        ),
        "schedule create": (
            'bigbird schedule create nightly --target kubeflow --host http://localhost:8080 --cron "0 2 * * *" --task cola --data gs://bucket/CoLA',
        ),
        "doctor": ("bigbird doctor --target kubeflow --host http://localhost:8080",),
    }

    def target(self, placement: Placement, images: Images, settings: TeamSettings) -> Target:
        """Pods with resources and nodes, a webhook."""
        from bigbird_pipelines.platforms.kubeflow.target import kubeflow_target

        return kubeflow_target(
            images, settings, placement.machine_name, placement.strategy, placement.timeout_hours, placement.backend
        )

    def service(self, settings: TeamSettings) -> PipelineService:
        """The installation's REST API."""
        from bigbird_pipelines.platforms.kubeflow.service import KubeflowService

        return KubeflowService(settings)

    def request_fields(self, settings: TeamSettings) -> dict[str, Any]:
        """The place of a run's files and Kubernetes' service account."""
        return {
            "pipeline_root": settings.pipeline_root.rstrip("/"),
            "service_account": settings.kubernetes_service_account,
        }

    def warnings(self, settings: TeamSettings) -> list[str]:
        """That no mail is sent."""
        if settings.notify_emails:
            return ["notify_emails: Kubeflow sends no mail; notify_webhook names a Kubernetes secret"]
        return []

    def checks(self, placement: Placement, settings: TeamSettings) -> Iterator[Finding]:
        """Settings, the installation and images."""
        from bigbird_pipelines.platforms.kubeflow.checks import checks

        return checks(placement, settings)


PLATFORM = Kubeflow()
