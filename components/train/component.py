"""The training stage as a KFP component."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def train_component(image: str) -> BaseComponent:
    """A dataset folder to a fine-tuned model.

    Args:
        image: the container image that holds this project and TensorFlow.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def train(
        task: str,
        recipe: str,
        init_checkpoint: str,
        overrides: str,
        runtime: str,
        weights_version: str,
        dataset: dsl.Input[dsl.Dataset],
        model: dsl.Output[dsl.Model],
        metrics: dsl.Output[dsl.Metrics],
    ) -> None:
        from typing import Any

        from bigbird.config.overrides import join_overrides
        from bigbird.support.tensorflow_start import load_tensorflow
        from bigbird_components.run_configuration import resolve_experiment
        from bigbird_components.stage import run_stage

        def train_stage() -> Any:
            experiment = resolve_experiment(
                task,
                recipe,
                init_checkpoint=init_checkpoint,
                overrides=join_overrides((runtime, overrides)),  # the machine's, then the user's
            )
            load_tensorflow(experiment.runtime.backend)  # before Keras is imported, which is then fixed
            from bigbird_components.train.train import train as run_training

            return run_training(experiment, model.path, dataset=dataset.path)

        manifest = run_stage(train_stage, tensorflow=False)
        model.framework = "keras"
        model.metadata["weights_version"] = weights_version
        for name in ("best_step", "steps", "seconds", "parameters"):
            metrics.log_metric(name, manifest[name])
        for name, value in manifest["metrics"].items():
            metrics.log_metric(f"validation_{name}", value)

    return train
