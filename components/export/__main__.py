"""Command line of the export stage."""

from __future__ import annotations

import click

from bigbird.support.commands import run_command
from bigbird.support.precision import PRECISIONS, Precision
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_components.command_line import Command


@click.command(cls=Command, epilog="bigbird export --model out/model --output out/saved_model")
@click.option("--model", required=True, help="Model folder that training wrote.")
@click.option("--output", required=True, help="Folder to write: the SavedModel and signature.json.")
@click.option("--dataset", help="Dataset folder of the model, to check the vocabulary against.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="What the SavedModel computes in, which servers and `bigbird predict` then do; as it was trained by default.",
)
@click.option("--overwrite", is_flag=True, help="Replace what the output folder holds.")
def main(model: str, output: str, dataset: str | None, precision: Precision | None, overwrite: bool) -> None:
    """Exports a trained model as a SavedModel that takes raw text."""

    def command() -> None:
        load_tensorflow()
        from bigbird_components.export.export import export

        export(model, output, dataset, overwrite, precision=precision)
        print(f"SavedModel: {output}")

    run_command(command)


if __name__ == "__main__":
    main()
