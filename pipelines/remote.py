"""From options to what is sent to Vertex AI or Kubeflow: the target, the compiled pipeline, the checked request."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigbird.support.errors import InputError
from bigbird.tasks.registry import family_of_task
from bigbird.version import revision
from bigbird_components.model_names import REGISTRY, check_model_name
from bigbird_pipelines.files import RemoteFiles
from bigbird_pipelines.images import PREFIX, Backend, Images, choose_images
from bigbird_pipelines.machines import MACHINES, Strategy, check_backend, check_fits
from bigbird_pipelines.own_tables import with_own_tables
from bigbird_pipelines.parameters import overridden_task, pipeline_parameters, wanted_backend
from bigbird_pipelines.platforms.service import PipelineService, Request
from bigbird_pipelines.team_settings import TeamSettings, load_settings, require

if TYPE_CHECKING:
    from bigbird_pipelines.platforms.target import Target

Place = Literal["vertex", "kubeflow"]
DEFAULT_MACHINES: dict[Place, str] = {"vertex": "tpu-v5e-1", "kubeflow": "cpu"}
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Placement:
    """Where a pipeline is to run.

    Attributes:
        place: vertex or kubeflow.
        machine: a name of `MACHINES`; the place's default where None.
        backend: what trains; the machine's default where None.
        strategy: how it is lent; its usual way where None.
        timeout_hours: after which training is stopped.
        max_wait_hours: for a machine to become free, with flex-start.
        dataflow: whether preprocessing runs on Dataflow.
    """

    place: Place
    machine: str | None = None
    backend: Backend | None = None
    strategy: Strategy | None = None
    timeout_hours: float = 24.0
    max_wait_hours: float = 24.0
    dataflow: bool = False

    @property
    def machine_name(self) -> str:
        """The machine's name."""
        return self.machine or DEFAULT_MACHINES[self.place]

    @property
    def train_image(self) -> str:
        """The training image's name.

        Raises:
            InputError: the backend cannot train on the machine.
        """
        return MACHINES[self.machine_name].image(check_backend(self.machine_name, self.backend))


def settings_from(options: Mapping[str, Any]) -> tuple[TeamSettings, dict[str, str]]:
    """The settings that a command's options describe, with the environment and the file; and where each is from."""
    file = options.get("settings")
    flags = {name: options[name] for name in TeamSettings.model_fields if options.get(name)}
    return load_settings({name: str(value) for name, value in flags.items()}, file=file)


def images_from(settings: TeamSettings, train: str) -> Images:
    """The images that the settings name."""
    file = Path(settings.images) if settings.images else None
    return choose_images(settings.image_prefix or PREFIX, settings.image_tag, file, train)


def make_target(placement: Placement, settings: TeamSettings) -> Target:
    """The target of a placement.

    Raises:
        InputError: settings are missing, or options contradict each other.
    """
    machine, images = placement.machine_name, images_from(settings, placement.train_image)
    if placement.place == "vertex":
        from bigbird_pipelines.platforms.vertex.target import vertex_target

        _check_registry(images)
        return vertex_target(
            images, settings, machine, placement.strategy, placement.timeout_hours, placement.max_wait_hours,
            placement.dataflow, placement.backend,
        )  # fmt: skip
    from bigbird_pipelines.platforms.kubeflow.target import kubeflow_target

    if placement.dataflow:
        raise InputError("--dataflow: is Vertex AI's; expected --beam-options for another runner of Beam on Kubeflow")
    return kubeflow_target(images, settings, machine, placement.strategy, placement.timeout_hours, placement.backend)


def _check_registry(images: Images) -> None:
    """Refuses images that lie on this machine only."""
    if "/" not in images.train:
        raise InputError(
            f"image {images.train}: lies on this machine, where Vertex AI cannot see it; push the images "
            "(make images push REGISTRY=…) and name them with --images build/images.json or --image-prefix REGISTRY/bigbird"
        )


def compile_to(output: Path, placement: Placement | None, options: Mapping[str, Any]) -> None:
    """Writes the pipeline for a placement, or for any KFP backend where there is none, as YAML.

    Raises:
        InputError: settings are missing, or the file cannot be written.
    """
    from bigbird_pipelines.finetune import compile_pipeline
    from bigbird_pipelines.platforms.target import Target

    settings, _ = settings_from(options)
    target = Target(images_from(settings, "train")) if placement is None else make_target(placement, settings)
    compile_pipeline(target, output)


def compiled(target: Target) -> dict[str, Any]:
    """The pipeline for a target as JSON: `pipelineSpec`, and `platforms` where it has any."""
    from google.protobuf import json_format

    from bigbird_pipelines.finetune import build_pipeline

    pipeline = build_pipeline(target)
    spec: dict[str, Any] = {"pipelineSpec": json_format.MessageToDict(pipeline.pipeline_spec)}
    platforms = json_format.MessageToDict(pipeline.platform_spec)
    if platforms:
        spec |= platforms
    return spec


def service_of(place: Place, settings: TeamSettings) -> PipelineService:
    """The client of a place."""
    if place == "vertex":
        from bigbird_pipelines.platforms.vertex.service import VertexService

        return VertexService(settings)
    from bigbird_pipelines.platforms.kubeflow.service import KubeflowService

    return KubeflowService(settings)


def make_request(
    placement: Placement,
    settings: TeamSettings,
    options: Mapping[str, Any],
    *,
    name: str | None,
    labels: tuple[str, ...] = (),
    caching: bool | None = None,
    later: bool = False,
) -> tuple[Request, list[str]]:
    """Checks a run's options and makes what is to be sent.

    Args:
        placement, settings: where it is to run.
        options: of `bigbird submit`.
        name: the run's; task and time where None.
        labels: `name=value` each.
        caching: of all steps; None leaves each its own.
        later: whether it runs later, as a schedule's runs do.

    Returns:
        The request, and warnings about what is likely and not certain.

    Raises:
        InputError: names the option, what was found and what was expected. Nothing was sent.
        ServiceError: a bucket could not be looked into.
    """
    now, on_vertex = datetime.datetime.now(datetime.UTC), placement.place == "vertex"
    files = RemoteFiles(settings, now, registry=on_vertex, later=later)
    options = with_own_tables(options, files)
    task = _task(options)
    if not on_vertex:
        _check_kubeflow(options)
    asked = MACHINES[placement.machine_name].runtime(placement.backend)
    target = make_target(replace(placement, backend=wanted_backend(options, task, asked)), settings)
    if on_vertex:
        require(settings, "bucket")
    _check_weights(options)
    parameters, experiment = pipeline_parameters(options, task, options["recipe"], files, target.runtime)
    # Of an option that stands twice Beam takes the later one.
    parameters["beam_options"] = " ".join(part for part in (target.beam_options, parameters["beam_options"]) if part)
    if target.registers:
        name_of_model = check_model_name(options["model_name"] or f"bigbird-{_plain(task)}", "--model-name")
        parameters |= {"model_name": name_of_model, "margin": options["margin"] or 0.0}
    warnings = [*files.warnings, *check_fits(placement.machine_name, experiment)]
    if settings.notify_emails and not on_vertex:
        warnings.append("notify_emails: Kubeflow sends no mail; notify_webhook names a Kubernetes secret")
    own = {"bigbird": "finetune", "task": task, "machine": placement.machine_name, "commit": revision()}
    request = Request(
        name=name or f"{_plain(task)}-{now:%Y%m%d-%H%M%S}",
        spec=compiled(target),
        parameters=parameters,
        labels={key: _label_value(value) for key, value in own.items()} | _labels(labels),
        pipeline_root=(settings.bucket if on_vertex else settings.pipeline_root).rstrip("/"),
        caching=caching,
        service_account=settings.service_account if on_vertex else settings.kubernetes_service_account,
        network=settings.network if on_vertex else "",
    )
    return request, warnings


def _task(options: Mapping[str, Any]) -> str:
    if not options["task"]:
        raise InputError(
            "--task is not given; expected what to learn, for example --task sst2, or for your own table the columns: --text, --label"
        )
    if not (options["data"] or options["train_file"] or family_of_task(options["task"]).own_tables):
        raise InputError(
            "--data is not given; expected a folder of the task's official files in a bucket, as gs://bucket/SST-2"
        )
    return str(options["task"])


def _check_kubeflow(options: Mapping[str, Any]) -> None:
    for option in ("model_name", "margin"):
        if options[option]:
            raise InputError(f"--{option.replace('_', '-')}: nothing is registered on Kubeflow")


def _check_weights(options: Mapping[str, Any]) -> None:
    """Weights are given where the run's first step resolves them."""
    if overridden_task(options["overrides"]).get("init_checkpoint"):  # an empty one starts from scratch
        raise InputError("--override task.init_checkpoint: expected --init-checkpoint, which is looked up and resolved")
    if not options["init_checkpoint"].startswith(REGISTRY):
        return
    if options["vocabulary"]:
        raise InputError(
            "--vocabulary is given with --init-checkpoint registry:…, whose model brings its own; expected one of them"
        )
    if not options["recipe"]:
        raise InputError(
            "--recipe is not given with --init-checkpoint registry:…; expected the one that the model was trained by"
        )


def _labels(given: tuple[str, ...]) -> dict[str, str]:
    for label in given:
        if not _LABEL.fullmatch(label):
            raise InputError(
                f"--run-label {label}: expected name=value in lower-case letters, digits, _ and -, the name beginning with a "
                "letter, at most 63 characters each"
            )
    return dict(label.split("=", 1) for label in given)


def _label_value(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def _plain(name: str) -> str:
    return name.replace("_", "-")
