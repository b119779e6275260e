"""Command line of the check: `bigbird check`."""

from __future__ import annotations

from typing import Any

import click

from bigbird.support.commands import run_command
from bigbird.tasks.registry import checked_task_names
from bigbird_components.command_line import Command
from bigbird_components.table_flags import data_section, table_options

EPILOG = """
bigbird check reviews.csv --text review --label sentiment
bigbird check reviews.csv --text review --label sentiment --output checked --fail-on leakage,conflicts
bigbird check --train-file train.csv --validation-file validation.csv --vocabulary gpt2.model
bigbird check contracts.jsonl --spans entities
bigbird check reviews.csv --text review --label sentiment --predictions runs/NAME/evaluate/evaluation
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("input", required=False, metavar="[FILE]")
@click.option(
    "--task",
    type=click.Choice(checked_task_names()),
    help="By whose rules the table is read.  [default: told by the options and the files' names]",
)
@click.option("--train-file", help="The training split's file, in place of FILE.")
@click.option("--validation-file", help="The validation split's.")
@click.option("--test-file", help="The test split's.")
@table_options(training=False)
@click.option(
    "--vocabulary",
    help="Vocabulary that counts the tokens: a file, or a folder with one.  [default: they are estimated]",
)
@click.option(
    "--predictions", help="Folder of an evaluation of a model of these data: tells which labels are probably wrong."
)
@click.option("--output", help="Folder to write report.html and check.json to: new or empty.  [default: none]")
@click.option(
    "--fail-on",
    default="none",
    show_default=True,
    help="Checks, or groups of checks, that end the command with code 6 where they find something: leakage,conflicts.",
)
@click.option(
    "--examples", type=click.IntRange(min=1), default=5, show_default=True, help="Places told of each finding."
)
@click.option("--overwrite", is_flag=True, help="Replaces an output folder that holds files.")
def main(**options: Any) -> None:
    """Checks your own table before anything is trained on it, in seconds and without TensorFlow.

    FILE is a table (CSV, TSV, JSON Lines, Parquet), a folder or a quoted pattern, from which training and validation are cut as training would cut
    them. Looks for duplicates, texts that are in training and validation, contradictory and suspicious labels, damaged characters, blanks, and
    what is too long for a model.
    """
    from bigbird_components.check.check import check, refuse_failed
    from bigbird_components.check.terminal import print_findings

    own = (
        "input",
        "task",
        "train_file",
        "validation_file",
        "test_file",
        "vocabulary",
        "predictions",
        "output",
        "fail_on",
        "examples",
        "overwrite",
    )

    def command() -> None:
        manifest = check(**{name: options[name] for name in own}, section=data_section(options))
        print_findings(manifest)
        refuse_failed(manifest)

    run_command(command)


if __name__ == "__main__":
    main()
