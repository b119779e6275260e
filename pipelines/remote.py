"""From options to what is sent to a platform: the target, the compiled pipeline, the checked request."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigbird.support.errors import InputError
from bigbird.tasks.registry import family_of_task
from bigbird.version import revision
from bigbird_components.command_line import flag
from bigbird_components.model_names import REGISTRY, check_model_name
from bigbird_pipelines.images import WITHOUT_S3, images_from
from bigbird_pipelines.machines import check_fits
from bigbird_pipelines.own_tables import with_own_tables
from bigbird_pipelines.parameters import checks_of, overridden_task, pipeline_parameters, wanted_backend
from bigbird_pipelines.platforms.platform import Placement, RemotePlatform
from bigbird_pipelines.platforms.service import Request
from bigbird_pipelines.team_settings import TeamSettings, load_settings

if TYPE_CHECKING:
    from bigbird_pipelines.platforms.target import Target

_log = logging.getLogger(__name__)

HEARTBEAT_S = 60.0
"""At most this long passes between two lines about a run or job that is watched, so that nobody thinks it hangs."""
PATIENCE_S = 600.0
"""How long the service may be out of reach while a run or job is watched."""

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")


@contextmanager
def sending(outcome: str) -> Iterator[None]:
    """Says what a service may have done all the same where Ctrl-C comes before its answer.

    Args:
        outcome: a sentence: what may be there, and how to look.
    """
    try:
        yield
    except KeyboardInterrupt:
        _log.warning(f"interrupted before the service had answered: {outcome}")
        raise


def settings_from(options: Mapping[str, Any]) -> tuple[TeamSettings, dict[str, str]]:
    """The settings that a command's options describe, with the environment and the file; and where each is from."""
    file = options.get("settings")
    flags = {name: options[name] for name in TeamSettings.model_fields if options.get(name) is not None}
    return load_settings({name: str(value) for name, value in flags.items()}, file=file)


def make_target(placement: Placement, settings: TeamSettings) -> Target:
    """The target of a placement.

    Raises:
        InputError: settings are missing, or options contradict each other.
    """
    return placement.platform.target(placement, images_from(settings, placement.train_image), settings)


def compile_to(output: Path, placement: Placement | None, options: Mapping[str, Any]) -> None:
    """Writes the pipeline for a placement, or for any KFP backend where there is none, as YAML.

    Raises:
        InputError: settings are missing, or the file cannot be written.
    """
    from bigbird_pipelines.finetune import compile_pipeline
    from bigbird_pipelines.platforms.target import Target

    settings, _ = settings_from(options)
    target = Target(images_from(settings, "train")) if placement is None else make_target(placement, settings)
    compile_pipeline(replace(target, checks=checks_of(options)), output)


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
    now, platform = datetime.datetime.now(datetime.UTC), placement.platform
    files = platform.files(settings, now, later)
    options = with_own_tables(options, files)
    task = _task(options)
    if not platform.registers:
        _check_no_registration(options, platform)
    asked = placement.profile.runtime(placement.backend)
    placement = replace(placement, backend=wanted_backend(options, task, asked))
    target = make_target(placement, settings)
    fields = platform.request_fields(settings)
    _check_weights(options)
    parameters, experiment = pipeline_parameters(options, task, options["recipe"], files, target.runtime)
    if experiment.task.init_checkpoint.startswith("s3://") and placement.train_image in WITHOUT_S3:
        raise InputError(
            f"--init-checkpoint {experiment.task.init_checkpoint}: the image {placement.train_image}, which trains on "
            f"--machine {placement.machine_name}, cannot read s3://; copy the weights to gs://, or train with --backend jax"
        )
    target = replace(target, checks=parameters.get("fail_on", ""))
    # Of an option that stands twice Beam takes the later one.
    parameters["beam_options"] = " ".join(part for part in (target.beam_options, parameters["beam_options"]) if part)
    if target.registers:
        name_of_model = check_model_name(options["model_name"] or f"bigbird-{_plain(task)}", "--model-name")
        parameters |= {"model_name": name_of_model, "margin": options["margin"] or 0.0}
    fits = check_fits(placement.machine_name, experiment, platform.machines)
    warnings = [*files.warnings, *fits, *platform.warnings(settings)]
    own = {"bigbird": "finetune", "task": task, "machine": placement.machine_name, "commit": revision()}
    request = Request(
        name=name or f"{_plain(task)}-{now:%Y%m%d-%H%M%S}",
        spec=compiled(target),
        parameters=parameters,
        labels={key: _label_value(value) for key, value in own.items()} | _labels(labels),
        caching=caching,
        **fields,
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


def _check_no_registration(options: Mapping[str, Any], platform: RemotePlatform) -> None:
    for option in ("model_name", "margin"):
        if options[option]:
            raise InputError(f"{flag(option)}: nothing is registered on {platform.title}")


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
