"""The `bigbird` command: parses and calls. Heavy imports stay inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bigbird.console import run_command
from bigbird.tasks import families
from bigbird.version import provenance
from pipelines.images import PREFIX

TASKS = tuple(task for task in families.TASKS if task not in ("ax", "pretraining"))
"""What `bigbird run` takes: AX is only answered, and pre-training is two stages by hand."""

CHECKPOINTS = ("bigbird", "model_garden", "google_research", "hugging_face")

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Examples(click.Command):
    """A command whose epilog keeps its line breaks, and whose options may be spelt with underscores.

    The stages' options are spelt so, as the Model Garden's: --max_length and --max-length are the same here.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads every option's name with dashes; values stay as they are."""
        return super().parse_args(ctx, [_with_dashes(argument) for argument in args])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples as they are."""
        if self.epilog:
            formatter.write_paragraph()
            formatter.write("Examples:\n" + "".join(f"  {line.strip()}\n" for line in self.epilog.strip().splitlines()))


def _with_dashes(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def image_options(command: Any) -> Any:
    """The options that say which images a command is about."""
    for option in (
        click.option("--images", type=click.Path(path_type=Path), help="File of `make push`: the images by digest."),
        click.option("--image-tag", default="", help="Tag of the images.  [default: this code's commit]"),
        click.option(
            "--image-prefix", default=PREFIX, show_default=True, help="Images are PREFIX-preprocess and so on."
        ),
    ):
        command = option(command)
    return command


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo("bigbird {version}, revision {revision}".format(**provenance()))
        context.exit()


@click.group(context_settings=SETTINGS)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Version and commit."
)
def cli() -> None:
    """Fine-tunes BigBird from raw files to a SavedModel, as one KFP pipeline.

    `bigbird run` does it all on this machine; without data it takes a sample that it makes itself.
    """


@cli.command(
    cls=Examples,
    epilog="""
    bigbird run
    bigbird run --sample squad
    bigbird run --task sst2 --data glue/SST-2 --vocabulary gpt2.model
    bigbird run --docker
    bigbird run --task squad_v2 --data squad --recipe my_recipe.yaml --override trainer.train_steps=500
    """,
)
@click.option("--task", type=click.Choice(TASKS), help="What to learn. Needed with your own data.")
@click.option("--data", help="Folder with the task's official files, or of SQuAD JSON files.")
@click.option("--train-file", default="", help="One training file, in place of the one in --data.")
@click.option("--validation-file", default="", help="One validation file.")
@click.option("--test-file", default="", help="One test file; it is encoded with the rest.")
@click.option(
    "--sample", type=click.Choice(["glue", "squad"]), help="The sample to take without --data.  [default: glue]"
)
@click.option("--vocabulary", default="", help="SentencePiece model. Without one it is trained on the training text.")
@click.option(
    "--vocabulary-size", type=click.IntRange(min=16), help="Pieces of a vocabulary trained here.  [default: 8000]"
)
@click.option("--init-checkpoint", default="", help="Weights to start from; without them training starts from scratch.")
@click.option("--recipe", help="A recipe's name or YAML file; `bigbird recipes` lists those that come along.")
@click.option("--max-length", type=click.IntRange(min=16), help="Tokens; the recipe's by default.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples of a training step; the recipe's by default.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="The peak; the recipe's by default.")
@click.option(
    "--epochs", type=click.FloatRange(min=0, min_open=True), help="Passes over the data; the recipe's by default."
)
@click.option(
    "--metric-threshold",
    type=click.FloatRange(min=-1, max=1),
    default=0.0,
    show_default=True,
    help="The primary metric's least value, from 0 to 1, at which the model is exported.",
)
@click.option(
    "--override", "overrides", multiple=True, help="key.path=value in the recipe's tree. Repeatable, later wins."
)
@click.option(
    "--max-bad-records", type=click.IntRange(min=0), default=0, show_default=True, help="Records that may be rejected."
)
@click.option("--beam-options", default="", help='Apache Beam\'s options, e.g. "--direct_num_workers=2".')
@click.option("--name", help="The run's folder in --runs.  [default: task and time]")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@click.option("--overwrite", is_flag=True, help="Replaces an earlier run of the same name.")
@click.option("--docker", is_flag=True, help="Each step in its image, on the local Docker engine; `make images` first.")
@click.option("--memory", default="", help='Most memory of a step\'s container, e.g. "8g".')
@click.option("--gpus", is_flag=True, help="Containers get this machine's GPUs; trains in the image train-gpu.")
@image_options
def run(**options: Any) -> None:
    """Runs the pipeline on this machine: preprocess, train, evaluate, gate, export."""
    from pipelines.local_run import run_locally

    run_command(lambda: run_locally(**options))


@cli.command(
    "compile",
    cls=Examples,
    epilog="""
    bigbird compile --output finetune.yaml --images build/images.json
    bigbird compile --output finetune.yaml --image-prefix registry/project/bigbird
    """,
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("finetune.yaml"),
    show_default=True,
    help="File to write.",
)
@image_options
def compile_command(output: Path, image_prefix: str, image_tag: str, images: Path | None) -> None:
    """Writes the pipeline as YAML that any KFP 2 backend takes."""

    def write() -> None:
        from pipelines.finetune import compile_pipeline
        from pipelines.images import choose_images
        from pipelines.targets.target import Target

        compile_pipeline(Target(choose_images(image_prefix, image_tag, images)), output)
        click.echo(f"wrote {output}")

    run_command(write)


@cli.command(cls=Examples, epilog="bigbird recipes")
def recipes() -> None:
    """Lists the recipes that come along, each with its first line."""
    from pipelines.recipes import FOLDER, recipe_names

    for name in recipe_names():
        file = FOLDER / f"{name}.yaml"
        first_line = (
            file.read_text(encoding="utf-8").splitlines()[0] if file.exists() else f"{name[:-6]} in the large size."
        )
        click.echo(f"{name:22} {first_line.lstrip('# ')}")


@cli.command(
    cls=Examples,
    epilog="""
    bigbird convert bigbr_base/model.ckpt-0 converted --to hugging_face
    bigbird convert bigbird-roberta-base converted --to model_garden
    bigbird convert runs/NAME/train/model converted --to hugging_face
    bigbird run --task sst2 --data glue/SST-2 --vocabulary gpt2.model --init-checkpoint converted
    """,
)
@click.argument("source")
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", required=True, type=click.Choice(CHECKPOINTS), help="The kind to write.")
@click.option(
    "--heads",
    type=click.IntRange(min=1),
    help="Attention heads, where the source does not say.  [default: one per 64 of the hidden size]",
)
@click.option("--params", help="YAML file with task.model.encoder.bigbird, in place of the one beside the source.")
@click.option("--overwrite", is_flag=True, help="Replaces an earlier conversion.")
def convert(source: str, output: Path, to: str, heads: int | None, params: str | None, overwrite: bool) -> None:
    """Writes a checkpoint of any kind as another, no bit of a weight changed.

    SOURCE is a model or checkpoint folder of ours, a TensorFlow checkpoint's prefix or folder (the Model Garden's or
    google-research's), or a Hugging Face folder or .safetensors file; local or gs://. Its kind is recognised. OUTPUT
    is a new folder. Optimizer slots stay behind, and so does a head that the other kind computes differently.
    """
    from pipelines.convert import convert_command

    run_command(lambda: convert_command(source, output, to, heads, params, overwrite))


@cli.command(
    cls=Examples,
    epilog="""
    bigbird predict --model runs/NAME --text "A film worth every minute."
    bigbird predict --model runs/NAME --text "A man sleeps." --text-b "Somebody is asleep."
    bigbird predict --model runs/NAME --question "Who wrote it?" --context "It was written by Ada."
    bigbird predict --model runs/NAME texts.jsonl
    """,
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--model", required=True, type=click.Path(path_type=Path), help="A SavedModel's folder, or a run's.")
@click.option("--text", help="The text to classify; the first one of a pair.")
@click.option("--text-b", help="The second text of a pair.")
@click.option("--question", help="What to answer.")
@click.option("--context", help="The text that holds the answer.")
def predict(**options: Any) -> None:
    """Answers with an exported model.

    FILE holds one example a line, as JSON: {"text_a": …, "text_b": …} or {"question": …, "context": …}; a plain text
    file is one text a line. Each answer is one line of JSON.
    """
    from pipelines.predict import predict_command

    run_command(lambda: predict_command(**options))


@cli.command(
    cls=Examples,
    epilog="""
    bigbird submission evaluations/* --output submission.zip
    bigbird submission evaluations/cola evaluations/rte --output some.zip --partial
    """,
)
@click.argument("evaluations", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("submission.zip"),
    show_default=True,
    help="The zip to write.",
)
@click.option("--partial", is_flag=True, help="Writes it even where test sets are missing or not whole.")
@click.option("--overwrite", is_flag=True, help="Replaces an earlier zip.")
def submission(evaluations: tuple[Path, ...], output: Path, partial: bool, overwrite: bool) -> None:
    """Packs evaluations of GLUE's test splits into the zip that the benchmark takes.

    EVALUATIONS are folders of the evaluate stage, one per test set: eleven for the whole benchmark, of which MNLI has
    two and AX is answered by MNLI's model.
    """
    from pipelines.submission import write_submission

    def write() -> None:
        names = write_submission(evaluations, output, partial=partial, overwrite=overwrite)
        click.echo(f"wrote {output}: {', '.join(names)}")

    run_command(write)


def main() -> None:
    """Entry point of the console script."""
    cli()
