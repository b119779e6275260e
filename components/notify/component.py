"""Notifications as KFP components: the exit task of the pipeline, and one that tells the metric on its way."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def notify_component(image: str) -> BaseComponent:
    """Posts how a run ended to a webhook; runs whether the steps before it succeeded or not.

    Args:
        image: any image of the project.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def notify(
        platform: str,
        secret: str,
        run_name: str,
        run_id: str,
        host: str,
        project: str,
        status: dsl.PipelineTaskFinalStatus,
    ) -> None:
        from bigbird_components.notify.notify import notify as send
        from bigbird_components.stage import run_stage

        run_stage(
            lambda: send(
                platform,
                secret,
                run_name=run_name,
                run_id=run_id,
                host=host,
                project=project,
                state=status.state,
                job=status.pipeline_job_resource_name,
                error=status.error_message or "",
            ),
            tensorflow=False,
        )

    return notify


def announce_component(image: str) -> BaseComponent:
    """Posts an evaluation's metric to a webhook; for platforms that do not tell the exit task of it.

    Args:
        image: any image of the project.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def announce(
        run_name: str, run_id: str, host: str, metric_name: str, metric: float, metric_threshold: float, passed: bool
    ) -> None:
        from bigbird_components.notify.notify import announce as send
        from bigbird_components.stage import run_stage

        run_stage(lambda: send(run_name, run_id, host, metric_name, metric, metric_threshold, passed), tensorflow=False)

    return announce
