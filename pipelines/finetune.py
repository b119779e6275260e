"""The fine-tuning pipeline: raw files (-> check) -> dataset -> model -> evaluation -> (gate) -> SavedModel (-> registry).

The same object runs on this machine and remotely; only the target differs.
"""

import os
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl.base_component import BaseComponent

from bigbird.support.errors import InputError
from bigbird_components.check.component import check_component
from bigbird_components.evaluate.component import evaluate_component, skip_export_component
from bigbird_components.export.component import export_component
from bigbird_components.gate import NO_THRESHOLD
from bigbird_components.preprocess.component import preprocess_component, resolve_component
from bigbird_components.register.component import register_component
from bigbird_components.train.component import train_component
from bigbird_pipelines.platforms.target import Target


def build_pipeline(target: Target) -> BaseComponent:
    """The pipeline as it is to run on `target`."""
    images, place = target.images, target.place
    resolve = resolve_component(images.preprocess)
    check = check_component(images.preprocess)
    preprocess = preprocess_component(images.preprocess)
    train = target.train(train_component(images.train))
    evaluate = evaluate_component(images.evaluate)
    export = export_component(images.export)
    skip_export = skip_export_component(images.evaluate)
    register = register_component(images.register)

    @dsl.pipeline(
        name="bigbird-finetune",
        description="Fine-tunes BigBird on your own tables, GLUE, SQuAD or TriviaQA, evaluates it and exports it if it is good enough.",
    )
    def finetune(
        task: str,
        data: str = "",
        train_file: str = "",
        validation_file: str = "",
        test_file: str = "",
        vocabulary: str = "",
        vocabulary_size: int = 8000,
        max_bad_records: int = 0,
        beam_options: str = target.beam_options,
        recipe: str = "",
        init_checkpoint: str = "",
        metric_threshold: float = NO_THRESHOLD,
        overrides: str = "",
        model_name: str = "bigbird",
        margin: float = 0.0,
        fail_on: str = target.checks,
    ) -> None:
        """Raw text to a SavedModel.

        Args:
            task: what to learn, by a name that `bigbird submit --task` takes.
            data: your own table, as a file, a folder or a pattern; or the folder with the task's official files.
            train_file: one training file, in place of the one in `data`.
            validation_file: one validation file.
            test_file: one test file, scored or only predicted.
            vocabulary: as `bigbird.Vocabulary` takes it; trained on the training text where empty.
            vocabulary_size: pieces of a vocabulary trained here.
            max_bad_records: records that preprocessing may reject before it fails.
            beam_options: Apache Beam's command-line options.
            recipe: an experiment's YAML, as text.
            init_checkpoint: weights to start from; from scratch where empty.
            metric_threshold: the primary metric's least value at which the model is exported; the default keeps none back.
            overrides: key.path=value,key.path=value on top of everything.
            model_name: the registered model that this run makes a version of, where models are registered.
            margin: by how much of the primary metric it must beat the present default version to replace it.
            fail_on: checks of your own tables that end the run where they find something, and groups of them; where tables are checked.
        """
        with target.ended():
            paths = {
                "data": data,
                "train_file": train_file,
                "validation_file": validation_file,
                "test_file": test_file,
                "vocabulary": vocabulary,
            }
            configuration = {"settings": "", "recipe": recipe, "overrides": overrides}
            data_version = weights_version = ""
            if target.remote:
                resolved = resolve(
                    **paths,
                    init_checkpoint=init_checkpoint,
                    task=task,
                    recipe=recipe,
                    overrides=overrides,
                    time=target.time,
                    project=target.project,
                    location=target.location,
                )
                place("resolve", resolved)
                paths = {name: resolved.outputs[name] for name in paths}
                init_checkpoint = resolved.outputs["init_checkpoint"]
                configuration = {"settings": resolved.outputs["settings"], "recipe": "", "overrides": ""}
                data_version, weights_version = resolved.outputs["version"], resolved.outputs["weights_version"]

            if target.checks:
                checked = check(
                    task=task,
                    **paths,
                    fail_on=fail_on,
                    **configuration,
                    data_version=data_version,
                )
                place("check", checked)

            preprocessed = preprocess(
                task=task,
                **paths,
                vocabulary_size=vocabulary_size,
                max_bad_records=max_bad_records,
                beam_options=beam_options,
                **configuration,
                data_version=data_version,
            )
            if target.checks:
                preprocessed.after(checked)
            place("preprocess", preprocessed)
            dataset = preprocessed.outputs["dataset"]

            trained = train(
                task=task,
                recipe=recipe,
                init_checkpoint=init_checkpoint,
                overrides=overrides,
                runtime=target.runtime,
                weights_version=weights_version,
                dataset=dataset,
            )
            place("train", trained)
            model = trained.outputs["model"]

            evaluation = evaluate(dataset=dataset, model=model, metric_threshold=metric_threshold)
            place("evaluate", evaluation)
            target.evaluated(evaluation, metric_threshold)

            with dsl.If(evaluation.outputs["passed"] == True, name="good-enough"):  # noqa: E712 - builds a condition
                exported = export(dataset=dataset, model=model)
                place("export", exported)
                if target.registers:
                    registered = register(
                        project=target.project,
                        location=target.location,
                        model_name=model_name,
                        serving_image=images.serve,
                        margin=margin,
                        dataset=dataset,
                        evaluation=evaluation.outputs["evaluation"],
                        saved_model=exported.outputs["saved_model"],
                        pipeline=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER,
                    )
                    place("register", registered)
            with dsl.Else(name="not-good-enough"):
                skipped = skip_export(
                    metric_name=evaluation.outputs["metric_name"],
                    metric=evaluation.outputs["metric"],
                    metric_threshold=metric_threshold,
                )
                place("skip_export", skipped)

    return finetune


def compile_pipeline(target: Target, output: Path) -> None:
    """Writes the pipeline's YAML to `output`, in one step.

    Raises:
        InputError: `output` does not end in `.yaml` or `.yml`, or its folder cannot be written.
    """
    if output.suffix not in {".yaml", ".yml"}:
        raise InputError(f"{output}: expected a file name that ends in .yaml")
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.tmp.yaml")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(build_pipeline(target), str(temporary))
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
