"""The registration stage as a KFP component."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def register_component(image: str) -> BaseComponent:
    """An exported model to a version in the Vertex AI Model Registry; the default one if it beats the one there is.

    Args:
        image: the container image that holds this project, TensorFlow, tensorflow-text and Vertex AI's client.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def register(
        project: str,
        location: str,
        model_name: str,
        serving_image: str,
        margin: float,
        pipeline: str,
        dataset: dsl.Input[dsl.Dataset],
        evaluation: dsl.Input[dsl.Artifact],
        saved_model: dsl.Input[dsl.Model],
        registered: dsl.Output[dsl.Artifact],
    ) -> NamedTuple(  # type: ignore[misc,valid-type]
        "outputs", [("resource_name", str), ("version", str), ("is_default", bool), ("champion_metric", float)]
    ):
        from pathlib import Path
        from typing import NamedTuple

        from bigbird_components.stage import run_stage

        def register_stage() -> dict:
            from bigbird.support.artifacts import write_json
            from bigbird_components.register.register import register as run_registration

            result = run_registration(
                project=project,
                location=location,
                model_name=model_name,
                serving_image=serving_image,
                margin=margin,
                saved_model=saved_model.path,
                artifact_uri=saved_model.uri,
                evaluation=evaluation.path,
                dataset=dataset.path,
                pipeline=pipeline,
            )
            Path(registered.path).mkdir(parents=True, exist_ok=True)
            write_json(Path(registered.path) / "registration.json", result)
            return result

        result = run_stage(register_stage, tensorflow=False)
        registered.metadata["resourceName"] = f"{result['resource']}@{result['model_version']}"
        # A first version has no champion; an output must be a number.
        champion = result["champion"]["value"] if result["champion"] else 0.0
        outputs = NamedTuple(
            "outputs", [("resource_name", str), ("version", str), ("is_default", bool), ("champion_metric", float)]
        )
        return outputs(result["resource"], result["model_version"], result["default"], champion)

    return register
