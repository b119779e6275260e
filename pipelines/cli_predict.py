"""`bigbird predict`: parses its options, and calls what answers: here to the terminal, here into a folder, or elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click

from bigbird.support.commands import run_command
from bigbird.support.errors import InputError
from bigbird.tasks.table_options import COMMON
from bigbird_components.command_line import Command
from bigbird_components.table_flags import click_option
from bigbird_pipelines.options import examples, settings_options
from bigbird_pipelines.platforms.registry import remote_platform, remote_platforms
from bigbird_pipelines.shortcuts import Finite
from bigbird_pipelines.team_settings import TeamSettings

_TEXTS = ("text", "text_b", "question", "context")
_FORMAT = ("format", "encoding", "delimiter", "quoted")
_OF_TABLES = ("to", "keep", "keep_all", "max_bad_records", "overwrite", *_FORMAT)
_ELSEWHERE = ("machine_type", "replicas", "poll_s", "dry_run")
_SETTINGS = ("settings", *TeamSettings.model_fields)
_SHARED_WITH_BEAM = ("project", "region", "network", "subnetwork")
"""Settings that Apache Beam has options of the same name for: where its options are given they are meant for it."""


def _format_options(command: Any) -> Any:
    """How a table is written, as the commands that train take it."""
    for name in reversed(_FORMAT):
        command = click_option(name, COMMON[name])(command)
    return command


@click.command(
    cls=Command,
    epilog="""
    bigbird predict --model runs/NAME --text "A film worth every minute."
    bigbird predict --model runs/NAME --text "A man sleeps." --text-b "Somebody is asleep."
    bigbird predict --model runs/NAME --question "Who wrote it?" --context "It was written by Ada."
    bigbird predict --model runs/NAME texts.jsonl
    bigbird predict --model runs/NAME reviews.csv --text review --id number --keep shop --output answers
    bigbird predict --model runs/NAME 'mails/*.parquet' --keep-all --to parquet --output answers --max-bad-records 100
    bigbird predict --model runs/NAME mails.jsonl --output answers --direct_running_mode=multi_processing --direct_num_workers=2
    """
    + examples("predict"),
    context_settings={"ignore_unknown_options": True},  # they are Beam's
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[FILE] [BEAM OPTIONS]")
@click.option("--input", "input_", help="The FILE, named as an option.")
@click.option(
    "--model",
    required=True,
    help="The folder of a run, a SavedModel or a trained model. With --target registry:NAME, the default version, or "
    "registry:NAME@VERSION.",
)
@click.option(
    "--text", multiple=True, help="The text to classify; the first one of a pair. With --output its column; repeatable."
)
@click.option("--text-b", help="The second text of a pair. With --output its column.")
@click.option("--question", help="What to answer. With --output its column.")
@click.option("--context", help="The text that holds the answer. With --output its column.")
@click.option("--output", help="Folder to write all answers to. An interrupted job goes on in it.")
@click.option(
    "--to",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    default="jsonl",
    show_default=True,
    help="How answers are written.",
)
@click.option("--id", "id_column", help="Column of the rows' names.  [default: file and line]")
@click.option("--keep", multiple=True, help="Column to carry through. Repeatable.")
@click.option("--keep-all", is_flag=True, help="Carries all columns through but those that are read.")
@_format_options
@click.option(
    "--max-bad-records",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Rows that may be rejected instead of answered.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replaces the answers that the output folder holds, or another job in it."
)
@click.option(
    "--target",
    type=click.Choice([platform.name for platform in remote_platforms() if platform.predicts]),
    help="Where a registered model is to answer a table in a bucket.  [default: here, or where Beam's options say]",
)
@click.option(
    "--machine-type",
    default="n1-standard-4",
    show_default=True,
    help="What answers with --target, by the provider's name.",
)
@click.option(
    "--replicas", type=click.IntRange(min=1), default=1, show_default=True, help="Machines at most, with --target."
)
@click.option("--poll", "poll_s", type=Finite(min=0.01), default=15.0, show_default=True, help="Seconds between looks.")
@click.option("--dry-run", is_flag=True, help="With --target: prints what would be sent, as JSON, and sends nothing.")
@settings_options
def predict(words: tuple[str, ...], input_: str | None, **options: Any) -> None:
    """Answers with a trained model.

    FILE holds one example a line, as JSON: {"text_a": …, "text_b": …} or {"question": …, "context": …}; a plain text
    file is one text a line. Each answer is one line of JSON.

    With --output FILE is a table of any size (CSV, TSV, JSON Lines, Parquet), a folder or a quoted pattern. Options that
    the command does not have itself go to Apache Beam, whose runner then answers.
    """
    file, beam_options = _file_and_beam_options(words)
    context = click.get_current_context()  # as an argument it would be called as --context is
    given = {name for name in options if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    if beam_options and (options["output"] is None or options["target"] is not None):
        raise click.NoSuchOption(beam_options[0].partition("=")[0])
    if file is not None and input_ is not None:
        raise click.UsageError(f"--input {input_} and {file} are both given; expected one of them")

    def command() -> None:
        if options["target"] is not None:
            _refuse(
                given,
                (*_TEXTS, *_OF_TABLES),
                "is given with --target, where columns are called as the model's inputs are",
            )
            _predict_there(file or input_, options)
        elif options["output"] is not None:
            beams = [f"--{name}={options[name]}" for name in _SHARED_WITH_BEAM if beam_options and name in given]
            others = [name for name in _SETTINGS if not beams or name not in _SHARED_WITH_BEAM]
            _refuse(given, (*_ELSEWHERE, *others), "is given without --target")
            _predict_table(file or input_, options, (*beam_options, *beams))
        else:
            refused = (*_OF_TABLES, "id_column", *_ELSEWHERE, *_SETTINGS)
            _refuse(given, refused, "is given without --output, the folder to write the answers to")
            _predict_here(file or input_, options)

    run_command(command, sends=options["target"] is not None)


def _refuse(given: Collection[str], names: Collection[str], why: str) -> None:
    """Raises `InputError` for the first of some options that is given."""
    for name in names:
        if name in given:
            flag = {"id_column": "id", "poll_s": "poll"}.get(name, name).replace("_", "-")
            raise InputError(f"--{flag} {why}")


def _predict_here(file: str | None, options: Mapping[str, Any]) -> None:
    from bigbird_pipelines.predict import predict_command

    texts = {name: options[name] for name in _TEXTS}
    if len(texts["text"]) > 1:
        raise InputError("--text is given twice; expected one text, or --output for a table with several columns")
    texts["text"] = texts["text"][0] if texts["text"] else None
    predict_command(options["model"], file, **texts)


def _predict_table(file: str | None, options: Mapping[str, Any], beam_options: tuple[str, ...]) -> None:
    from bigbird_components.predict.predict import predict as predict_table

    if file is None:
        raise InputError("--output is given without a FILE; expected a table's file, a folder or a pattern to answer")
    texts = {name: options[name] or () for name in _TEXTS}
    summary = predict_table(
        options["model"],
        file,
        options["output"],
        columns={name: [value] if isinstance(value, str) else value for name, value in texts.items()},
        table_format={name: options[name] for name in _FORMAT},
        beam_options=beam_options,
        **{name: options[name] for name in ("to", "id_column", "keep", "keep_all", "max_bad_records", "overwrite")},
    )
    click.echo(f"{summary.answered:,} rows: {options['output'].rstrip('/')}/{summary.files[0]}")


def _predict_there(file: str | None, options: Mapping[str, Any]) -> None:
    from bigbird_pipelines.remote_predict import predict_remotely

    if file is None or options["output"] is None:
        raise InputError(
            "--target needs a FILE and --output, both in a bucket: gs://BUCKET/FILE and gs://BUCKET/FOLDER"
        )
    predict_remotely(
        remote_platform(options["target"]),
        options["model"],
        file,
        options["output"],
        id_column=options["id_column"],
        options=options,
        **{name: options[name] for name in _ELSEWHERE},
    )


def _file_and_beam_options(words: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The FILE, which comes first, and the rest.

    Raises:
        click.UsageError: there are two files, or the FILE comes after Beam's options, whose value it may be.
    """
    file, rest = (words[0], words[1:]) if words and not words[0].startswith("-") else (None, words)
    for before, word in zip(("", *rest), rest, strict=False):
        if not word.startswith("-") and (not before.startswith("--") or "=" in before):
            raise click.UsageError(
                f"Got unexpected extra argument ({word}); expected one FILE, before options of Apache Beam"
            )
    return file, rest
