"""The checks of `bigbird doctor` for Kubeflow: settings, the installation and images."""

from __future__ import annotations

from collections.abc import Iterator

from bigbird.support.errors import InputError, ServiceError
from bigbird_pipelines.images import IN_THE_CLOUD, images_from, push_command
from bigbird_pipelines.platforms.kubeflow.service import TOKEN, KubeflowService
from bigbird_pipelines.platforms.platform import Finding, Placement
from bigbird_pipelines.team_settings import TeamSettings, require


def checks(placement: Placement, settings: TeamSettings) -> Iterator[Finding]:
    """What a run would need, one by one."""
    try:
        require(settings, "host")
    except InputError as error:
        yield Finding("settings", False, str(error), "bigbird.toml holds it for good: [bigbird], then host = …")
        return
    try:
        found = KubeflowService(settings).schedules()
        yield Finding("Kubeflow Pipelines", True, f"{settings.host} answers; it has {len(found)} recurring runs here")
    except ServiceError as error:
        remedy = f"kubectl port-forward -n kubeflow svc/ml-pipeline 8888, or set {TOKEN}"
        yield Finding("Kubeflow Pipelines", False, str(error), remedy)
    try:
        images = images_from(settings, placement.train_image)
    except InputError as error:
        yield Finding(
            "images",
            False,
            str(error),
            f"{push_command(placement.train_image, without=IN_THE_CLOUD)}, then --images build/images.json",
        )
        return
    here = "/" not in images.train
    yield Finding(
        "images",
        None if here else True,
        images.train,
        "has no registry in its name: the cluster's nodes must have it already",
    )
