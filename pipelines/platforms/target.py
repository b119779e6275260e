"""What running the pipeline in some place adds to it. The graph itself stands in pipelines/finetune.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from bigbird.support.addresses import without_password
from bigbird_components.notify.component import notify_component
from bigbird_pipelines.images import Images
from bigbird_pipelines.team_settings import TeamSettings


@dataclass(frozen=True)
class Target:
    """This machine, which adds nothing. Others override what they change.

    Attributes:
        images: what the steps run in.
        remote: whether a step that resolves the run's parameters comes first.
        registers: whether a model that is good enough goes to a registry of models.
        runtime: overrides of the experiment that training's machine asks for.
        beam_options: the pipeline parameter's default.
        checks: the parameter fail_on's default; empty: the step that checks a user's own tables is left out.
        project, location: of the registry of models.
        time: when the run is due, as the platform fills it in; a time that is fixed otherwise.
    """

    images: Images
    remote: bool = False
    registers: bool = False
    runtime: str = ""
    beam_options: str = ""
    checks: str = ""
    project: str = ""
    location: str = ""
    time: str = dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER

    def train(self, component: BaseComponent) -> BaseComponent:
        """The training component as it is to run here."""
        return component

    def place(self, step: str, task: Any) -> Any:
        """Gives a step what it needs here: resources, nodes, no cache; returns it."""
        return task

    def evaluated(self, evaluation: Any, metric_threshold: Any) -> None:
        """Adds what is to happen once the model is evaluated, whatever the gate says."""

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Encloses all steps; what is to happen when they ended, either way, is set up here."""
        yield


def notify_task(target: Target, settings: TeamSettings, platform: str) -> Any:
    """The exit task that posts to the settings' webhook.

    Args:
        target: whose images are taken.
        settings: of the team.
        platform: a module of `bigbird_components.platforms`.
    """
    return notify_component(target.images.preprocess)(
        platform=platform,
        secret=settings.notify_webhook,
        run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        host=without_password(settings.host),
        project=settings.project,
    )
