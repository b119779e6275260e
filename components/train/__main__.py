"""Command line of the training stage: `bigbird train`, with the Model Garden's flags."""

from __future__ import annotations

from typing import Any

import click

from bigbird.config import load_experiment
from bigbird.support.commands import run_command
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird.tasks.registry import experiment_types
from bigbird_components.command_line import Command

EPILOG = """
bigbird train --experiment-type bigbird/glue --config-file pipelines/experiments/glue_sst2.yaml \\
  --dataset out/dataset --model-dir out/model
bigbird train --experiment_type=bigbird/squad --config_file=squad_v1.yaml --mode=train_and_eval \\
  --params_override=task.train_data.input_path='train-*.tfrecord',trainer.train_steps=1000 --model_dir=out/model
"""


@click.command(cls=Command, epilog=EPILOG, context_settings={"max_content_width": 120})
@click.option("--experiment-type", type=click.Choice(experiment_types()), help="Kind of task; or `type:` in a file.")
@click.option("--config-file", multiple=True, help="YAML with task, trainer, runtime; repeatable, later wins.")
@click.option("--params-override", multiple=True, help="key.path=value,key.path=value; repeatable, after the files.")
@click.option(
    "--mode",
    type=click.Choice(["train", "eval", "train_and_eval", "continuous_eval"]),
    default="train_and_eval",
    show_default=True,
    help="continuous_eval validates, beside a run in mode train, each checkpoint it leaves.",
)
@click.option("--model-dir", default="model", show_default=True, help="Model folder to write or to resume.")
@click.option("--dataset", help="Dataset folder of the preprocess stage; fills in what the configuration leaves open.")
@click.option("--tpu", help="Name of the TPU, with runtime.distribution_strategy=tpu.")
def main(
    experiment_type: str | None,
    config_file: tuple[str, ...],
    params_override: tuple[str, ...],
    mode: str,
    model_dir: str,
    dataset: str | None,
    tpu: str | None,
) -> None:
    """Fine-tunes BigBird on a dataset. The Model Garden's flags, with its spelling too, mean what they mean there.

    Started again with the same configuration it goes on exactly where it stopped. Ctrl-C writes a checkpoint first.
    Exit codes: 0 done, 2 input that cannot be used, 3 training diverged, 130 Ctrl-C, 143 SIGTERM.
    """

    def body() -> None:
        overrides: list[str | dict[str, Any]] = list(params_override)
        if tpu:
            overrides.append({"runtime": {"tpu": tpu}})
        experiment = load_experiment(experiment_type, config_file, overrides)
        load_tensorflow(experiment.runtime.backend)
        from bigbird_components.train.train import train

        train(experiment, model_dir, mode, dataset)  # type: ignore[arg-type]

    run_command(body)


if __name__ == "__main__":
    main()
