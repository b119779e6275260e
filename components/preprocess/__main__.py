"""Command line of the preprocessing stage: `bigbird preprocess`."""

from __future__ import annotations

import click

from bigbird.support.commands import run_command
from bigbird.tasks.registry import task_names
from bigbird_components.command_line import Command
from bigbird_components.table_flags import OPTIONS, data_section, table_options

EPILOG = """
bigbird preprocess --task sst2 --input glue/SST-2 --output out/dataset
bigbird preprocess --task classification --input reviews.csv --text review --label sentiment --output out/dataset
bigbird preprocess --task squad_v2 --input squad --vocabulary gpt2.model --output out/dataset
bigbird preprocess ... --direct_running_mode=multi_processing --direct_num_workers=4
bigbird preprocess ... --output gs://bucket/dataset --runner=DataflowRunner --project=P --region=R \\
  --temp_location=gs://bucket/tmp
"""


SETTINGS = {
    "ignore_unknown_options": True,  # they are Beam's
    "max_content_width": 120,
}


@click.command(cls=Command, epilog=EPILOG, context_settings=SETTINGS)
@click.option("--task", required=True, type=click.Choice(task_names()), help="What the files are.")
@click.option("--output", required=True, help="Dataset folder to write: new or empty.")
@click.option(
    "--input",
    help="Folder with the task's official files (train.tsv, dev.tsv, train-v1.1.json, ...); for classification your table: a "
    "file, a folder or a pattern.",
)
@click.option("--train-file", help="Training file, beside or instead of --input.")
@click.option("--validation-file", help="Validation file (MNLI: the matched one).")
@click.option("--test-file", help="Test file. Labels of your own tables are read; GLUE's are not.")
@click.option(
    "--vocabulary",
    help="SentencePiece .model, WordPiece vocab.txt or tokenizer.json, or a folder that holds one; without it one is trained on the "
    "training text.",
)
@click.option("--vocabulary-size", default=8000, show_default=True, help="Pieces of a vocabulary trained here.")
@click.option(
    "--max-length", type=int, help="Most tokens of a record.  [default: 1024; 4096 for TriviaQA and pre-training]"
)
@click.option("--doc-stride", type=int, help="Tokens from one window to the next.  [default: 128; 3072 for TriviaQA]")
@click.option("--query-length", type=int, help="Most tokens of a question.  [default: 64; 256 for TriviaQA]")
@table_options(training=False)
@click.option(
    "--lower-case/--no-lower-case",
    default=None,
    help="Lower-case all text.  [default: as the vocabulary says; SentencePiece does not]",
)
@click.option("--max-bad-records", default=0, show_default=True, help="Bad records to skip instead of failing.")
@click.option("--overwrite", is_flag=True, help="Replace an output folder that holds files.")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED, metavar="[BEAM OPTIONS]")
def main(**options: object) -> None:
    """Turns raw files (your own tables, GLUE, SQuAD, TriviaQA, plain text) into a dataset: TFRecords, vocabulary, manifest, report.

    Options that it does not have itself go to Apache Beam.
    """
    from bigbird_components.preprocess.preprocess import preprocess

    section = data_section(options)
    rest = {name: value for name, value in options.items() if name not in OPTIONS or OPTIONS[name].section == "task"}
    run_command(lambda: preprocess(**rest, section=section))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
