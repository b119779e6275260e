"""Vertex AI: pipelines and schedules in a project's region, training as custom jobs, the Model Registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import click

from bigbird.support.errors import InputError
from bigbird_components.model_names import LABEL
from bigbird_pipelines.images import Images, push_command
from bigbird_pipelines.platforms.platform import Finding, Placement, RemotePlatform
from bigbird_pipelines.platforms.service import PipelineService, patiently
from bigbird_pipelines.team_settings import TeamSettings, require

if TYPE_CHECKING:
    from bigbird_pipelines.platforms.prediction import PredictionService
    from bigbird_pipelines.platforms.target import Target

_TIMEOUT_S = 20.0  # for a look into the registry


class Vertex(RemotePlatform):
    """Vertex AI of a project and a region."""

    name = "vertex"
    title = "Vertex AI"
    requirements = (
        "kfp",
        "google-cloud-aiplatform",
        "google-cloud-pipeline-components",
        "gcsfs",
    )
    default_machine = "tpu-v5e-1"
    registers = True
    predicts = True
    recurring = "Vertex AI's schedules"
    catches_up = "resume"
    options: ClassVar = {
        "dataflow": click.option("--dataflow", is_flag=True, help="Preprocesses on Dataflow; Vertex AI only."),
    }
    elsewhere: ClassVar = {"dataflow": "use --beam-options to choose a Beam runner on"}
    examples: ClassVar = {
        "compile": (
            "bigbird compile --target vertex --machine tpu-v5e-4 --project my-project --region europe-west4 --images build/images.json",
        ),
        "submit": (
            "bigbird submit --task sst2 --data gs://bucket/SST-2 --vocabulary gs://bucket/gpt2.model --recipe glue_sst2 --wait",
            "bigbird submit --task squad_v1 --data gs://bucket/squad --machine tpu-v5e-4 --strategy spot --init-checkpoint gs://bucket/bigbr_base/model.ckpt-0 --vocabulary gs://bucket/gpt2.model",
            "bigbird submit --task sst2 --data gs://bucket/SST-2 --dry-run",
        ),
        "schedule create": (
            'bigbird schedule create weekly --cron "0 3 * * 1" --time-zone Europe/Paris --task sst2 --data gs://bucket/{date}/SST-2',
            'bigbird schedule create weekly --cron "0 3 * * 1" --task sst2 --data gs://bucket/SST-2 --recipe glue_sst2 --init-checkpoint registry:bigbird-sst2',
        ),
        "predict": (
            "bigbird predict --target vertex --model registry:bigbird-sst2 gs://bucket/mails.jsonl --output gs://bucket/answers",
        ),
        "doctor": ("bigbird doctor",),
    }

    def target(self, placement: Placement, images: Images, settings: TeamSettings) -> Target:
        """Custom jobs, the Model Registry, mails or a webhook; images must lie in a registry."""
        from bigbird_pipelines.platforms.vertex.target import vertex_target

        _check_registry(images, placement)
        return vertex_target(
            images,
            settings,
            placement.machine_name,
            placement.strategy,
            placement.timeout_hours,
            placement.max_wait_hours,
            placement.options["dataflow"],
            placement.backend,
        )

    def service(self, settings: TeamSettings) -> PipelineService:
        """The REST services of the project's region."""
        from bigbird_pipelines.platforms.vertex.service import VertexService

        return VertexService(settings)

    def prediction(self, settings: TeamSettings) -> PredictionService:
        """Batch predictions of the project's region."""
        from bigbird_pipelines.platforms.vertex.prediction import VertexPrediction

        return VertexPrediction(settings)

    def request_fields(self, settings: TeamSettings) -> dict[str, Any]:
        """The project's bucket, service account and network."""
        require(settings, "bucket")
        return {
            "pipeline_root": settings.bucket.rstrip("/"),
            "service_account": settings.service_account,
            "network": settings.network,
        }

    def has_model(self, name: str, settings: TeamSettings) -> bool:
        """Whether the project's registry has one."""
        from google.cloud.aiplatform_v1 import ModelServiceClient
        from google.cloud.aiplatform_v1.types import ListModelsRequest

        from bigbird_pipelines.platforms.vertex.client import client_options, explained, transient

        parent = f"projects/{settings.project}/locations/{settings.region}"
        request = ListModelsRequest(parent=parent, filter=f'display_name="{name}"')
        with explained(f"looking for the registered model {name}", settings):
            client = ModelServiceClient(**client_options(settings))
            models = patiently(lambda: list(client.list_models(request, timeout=_TIMEOUT_S)), transient)
        return any(model.labels.get(LABEL[0]) == LABEL[1] for model in models)

    def checks(self, placement: Placement, settings: TeamSettings) -> Iterator[Finding]:
        """Settings, credentials, APIs, roles, bucket, images and quota."""
        from bigbird_pipelines.platforms.vertex.checks import checks

        return checks(placement, settings)


def _check_registry(images: Images, placement: Placement) -> None:
    """Refuses images that lie on this machine only."""
    if "/" not in images.train:
        without = () if placement.options["dataflow"] else ("preprocess_dataflow",)
        raise InputError(
            f"image {images.train}: lies on this machine, where Vertex AI cannot see it; push the images "
            f"({push_command(placement.train_image, without=without)}) and name them with --images build/images.json or --image-prefix REGISTRY/bigbird"
        )


PLATFORM = Vertex()
