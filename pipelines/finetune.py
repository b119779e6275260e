"""The fine-tuning pipeline: raw files -> dataset -> model -> evaluation -> (gate) -> SavedModel.

The same object runs on this machine and remotely; only the target differs.
"""

import os
from pathlib import Path

from kfp import compiler, dsl
from kfp.dsl.base_component import BaseComponent

from bigbird.errors import InputError
from components.evaluate.component import evaluate_component, skip_export_component
from components.export.component import export_component
from components.preprocess.component import preprocess_component
from components.train.component import train_component
from pipelines.images import Images


def build_pipeline(images: Images) -> BaseComponent:
    """The pipeline, its steps running in `images`."""
    preprocess = preprocess_component(images.preprocess)
    train = train_component(images.train)
    evaluate = evaluate_component(images.evaluate)
    export = export_component(images.export)
    skip_export = skip_export_component(images.evaluate)

    @dsl.pipeline(
        name="bigbird-finetune",
        description="Fine-tunes BigBird on a GLUE task, SQuAD or TriviaQA, evaluates it and exports it if it is good enough.",
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
        beam_options: str = "",
        recipe: str = "",
        init_checkpoint: str = "",
        max_length: int = 0,
        batch_size: int = 0,
        learning_rate: float = 0.0,
        epochs: float = 0.0,
        metric_threshold: float = 0.0,
        overrides: str = "",
    ) -> None:
        """Raw text to a SavedModel.

        Args:
            task: cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, wnli, squad_v1, squad_v2, triviaqa_wikipedia or
                triviaqa_web.
            data: folder with the task's official files, or a folder or file of SQuAD JSON.
            train_file: one training file, in place of the one in `data`.
            validation_file: one validation file.
            test_file: one test file, scored or only predicted.
            vocabulary: SentencePiece model; trained on the training text where empty.
            vocabulary_size: pieces of a vocabulary trained here.
            max_bad_records: records that preprocessing may reject before it fails.
            beam_options: Apache Beam's command-line options.
            recipe: an experiment's YAML, as text.
            init_checkpoint: weights to start from; from scratch where empty.
            max_length: tokens; 0 takes the recipe's.
            batch_size: examples of a step; 0 takes the recipe's.
            learning_rate: the peak; 0 takes the recipe's.
            epochs: passes over the training data; 0 takes the recipe's.
            metric_threshold: the primary metric's least value at which the model is exported.
            overrides: key.path=value,key.path=value on top of everything.
        """
        dataset = preprocess(
            task=task,
            data=data,
            train_file=train_file,
            validation_file=validation_file,
            test_file=test_file,
            vocabulary=vocabulary,
            vocabulary_size=vocabulary_size,
            max_bad_records=max_bad_records,
            beam_options=beam_options,
            recipe=recipe,
            max_length=max_length,
            overrides=overrides,
        ).outputs["dataset"]

        model = train(
            task=task,
            recipe=recipe,
            init_checkpoint=init_checkpoint,
            max_length=max_length,
            batch_size=batch_size,
            learning_rate=learning_rate,
            epochs=epochs,
            overrides=overrides,
            dataset=dataset,
        ).outputs["model"]

        evaluation = evaluate(dataset=dataset, model=model, metric_threshold=metric_threshold)

        with dsl.If(evaluation.outputs["passed"] == True, name="good-enough"):  # noqa: E712 - builds a condition
            export(dataset=dataset, model=model)
        with dsl.Else(name="not-good-enough"):
            skip_export(
                metric_name=evaluation.outputs["metric_name"],
                metric=evaluation.outputs["metric"],
                metric_threshold=metric_threshold,
            )

    return finetune


def compile_pipeline(images: Images, output: Path) -> None:
    """Writes the pipeline's YAML to `output`, in one step.

    Raises:
        InputError: `output` does not end in `.yaml` or `.yml`, or its folder cannot be written.
    """
    if output.suffix not in {".yaml", ".yml"}:
        raise InputError(f"{output}: expected a file name that ends in .yaml")
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.tmp.yaml")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(build_pipeline(images), str(temporary))
        temporary.replace(output)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from None
    finally:
        temporary.unlink(missing_ok=True)
