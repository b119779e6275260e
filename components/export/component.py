"""The export stage as a KFP component."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def export_component(image: str) -> BaseComponent:
    """A model to a SavedModel that takes raw text, checked against its own recorded request.

    Args:
        image: the container image that holds this project, TensorFlow and tensorflow-text.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def export(
        dataset: dsl.Input[dsl.Dataset],
        model: dsl.Input[dsl.Model],
        saved_model: dsl.Output[dsl.Model],
    ) -> None:
        from typing import Any

        from bigbird_components.stage import run_stage

        def export_stage() -> Any:
            from bigbird_components.export.export import export as run_export

            return run_export(model.path, saved_model.path, dataset=dataset.path, model_uri=model.uri)

        run_stage(export_stage)
        saved_model.framework = "tensorflow"

    return export
