"""The evaluation stage as a KFP component, and the step that says why a model is not exported."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def evaluate_component(image: str) -> BaseComponent:
    """A model and its dataset to metrics, predictions and a report; `passed` is the gate before export.

    Args:
        image: the container image that holds this project and TensorFlow.
    """

    @dsl.component(base_image=image, install_kfp_package=False)
    def evaluate(
        metric_threshold: float,
        dataset: dsl.Input[dsl.Dataset],
        model: dsl.Input[dsl.Model],
        evaluation: dsl.Output[dsl.Artifact],
        metrics: dsl.Output[dsl.Metrics],
        confusion: dsl.Output[dsl.ClassificationMetrics],
        report: dsl.Output[dsl.HTML],
    ) -> NamedTuple("outputs", [("passed", bool), ("metric_name", str), ("metric", float)]):  # type: ignore[misc,valid-type]
        import shutil
        from typing import Any, NamedTuple

        from bigbird_components.gate import passes
        from bigbird_components.stage import run_stage

        def evaluate_stage() -> Any:
            from bigbird_components.evaluate.evaluate import evaluate as run_evaluation

            return run_evaluation(model.path, dataset.path, evaluation.path)

        result = run_stage(evaluate_stage)
        for name, value in result["metrics"].items():
            metrics.log_metric(name, value)
        metrics.log_metric("baseline", result["baseline"]["value"])
        if result.get("confusion"):
            confusion.log_confusion_matrix(result["confusion"]["labels"], result["confusion"]["counts"])
        shutil.copyfile(f"{evaluation.path}/report.html", report.path)
        primary = result["primary"]
        outputs = NamedTuple("outputs", [("passed", bool), ("metric_name", str), ("metric", float)])
        return outputs(passes(primary["value"], metric_threshold), primary["name"], primary["value"])

    return evaluate


def skip_export_component(image: str) -> BaseComponent:
    """Says in the run's log and output that the model missed the threshold."""

    @dsl.component(base_image=image, install_kfp_package=False)
    def skip_export(metric_name: str, metric: float, metric_threshold: float) -> str:
        import logging

        from bigbird.support.log import configure_logging

        configure_logging()
        reason = f"export skipped: {metric_name} {metric:.4f} is below the threshold {metric_threshold:.4f}"
        logging.getLogger("bigbird_components.evaluate").info(reason)
        return reason

    return skip_export
