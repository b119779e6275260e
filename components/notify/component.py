"""The notification as a KFP component: the exit task of the pipeline."""

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
        from components.notify.notify import notify as send
        from components.stage import run_stage

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
