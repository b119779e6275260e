"""Commands of `bigbird` that work on this machine: parse and call. Heavy imports stay inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bigbird.checkpoints.names import TARGETS
from bigbird.support.commands import run_command
from bigbird.support.errors import InputError
from bigbird.tasks.registry import samples
from bigbird_components.command_line import Command, flag
from bigbird_pipelines.cli_cloud import placement_of
from bigbird_pipelines.options import (
    RUNS,
    backend_option,
    check_option,
    data_options,
    examples,
    local_platform_options,
    recipeless_placement_options,
    settings_options,
    target_option,
    training_options,
)
from bigbird_pipelines.platforms.registry import local_platforms
from bigbird_pipelines.shortcuts import MOST_TOKENS


@click.command(
    cls=Command,
    epilog="""
    bigbird run
    bigbird run --sample squad
    bigbird run --task sst2 --data glue/SST-2 --vocabulary gpt2.model
    bigbird run --backend jax
    bigbird run --task squad_v2 --data squad --recipe my_recipe.yaml --override trainer.train_steps=500
    """
    + examples("run"),
)
@data_options
@click.option(
    "--sample", type=click.Choice(list(samples())), help="The sample to take without --data.  [default: glue]"
)
@training_options
@backend_option("the recipe's runtime.backend, or tensorflow")
@click.option("--name", help="The run's folder in --runs.  [default: task and time]")
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where runs are kept.")
@click.option("--overwrite", is_flag=True, help="Replaces an earlier run of the same name.")
@click.option(
    "--resume",
    is_flag=True,
    help="Goes on with the run of --name, or the newest that did not end, with its own options.",
)
@local_platform_options
@click.pass_context
def run(context: click.Context, **options: Any) -> None:
    """Runs the pipeline on this machine: preprocess, train, evaluate, gate, export.

    The same command again goes on with a run of the same --name that did not end.
    """
    from bigbird_pipelines.local_runs.folder import unended_run
    from bigbird_pipelines.local_runs.record import platform_of_run
    from bigbird_pipelines.local_runs.run import run_locally

    given = {name for name in options if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    flags = {platform.name for platform in local_platforms()[1:]}
    if options["resume"]:
        own = {name for platform in local_platforms() for name in platform.options}
        for name in given - {"resume", "name", "runs"} - flags - own:
            spelt = next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)
            raise click.UsageError(f"--resume goes on with the run's own options; leave {spelt} out")
    chosen = [platform for platform in local_platforms()[1:] if options.pop(platform.name)]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0].name} and --{chosen[1].name} are both given; expected one of them")
    own_options = {platform: {name: options.pop(name) for name in platform.options} for platform in local_platforms()}

    def command() -> None:
        begun, begun_options = "", dict[str, Any]()
        if options["resume"]:
            folder = unended_run(options["name"], options["runs"])
            options["name"] = folder.name
            begun, begun_options = platform_of_run(folder)
        named = chosen or [platform for platform in local_platforms() if platform.name == begun]
        platform = named[0] if named else local_platforms()[0]
        for other, values in own_options.items():
            for name in values:
                if other is not platform and name in given:
                    raise InputError(f"{flag(name)} is given without --{other.name}; {other.about}")
        own = own_options[platform]
        if platform.name == begun:
            own |= {name: value for name, value in begun_options.items() if name in own and name not in given}
        run_locally(platform, own, **options)

    run_command(command)


@click.command(
    cls=Command,
    epilog="""
    bigbird compile --output finetune.yaml --images build/images.json
    bigbird compile --output finetune.yaml --image-prefix registry/project/bigbird
    """
    + examples("compile"),
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("finetune.yaml"),
    show_default=True,
    help="File to write.",
)
@target_option(required=False)
@recipeless_placement_options
@check_option
@settings_options
def compile_command(output: Path, **options: Any) -> None:
    """Writes the pipeline as YAML.

    Without --target any KFP 2 backend takes it; with one it has that platform's machines, registration and notification.
    """

    def write() -> None:
        from bigbird_pipelines.remote import compile_to

        compile_to(output, placement_of(options), options)
        click.echo(f"wrote {output}")

    run_command(write)


@click.command(cls=Command, epilog="bigbird recipes\nbigbird recipes squad_v1 > mine.yaml")
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """Lists the recipes that come along, each with its first line; of a NAME or file prints all keys, each with its meaning."""
    from bigbird_pipelines.recipes import FOLDER, recipe_names, resolved_text

    if name is not None:
        run_command(lambda: click.echo(resolved_text(name), nl=False))
        return
    for each in recipe_names():
        file = FOLDER / f"{each}.yaml"
        first_line = (
            file.read_text(encoding="utf-8").splitlines()[0] if file.exists() else f"{each[:-6]} in the large size."
        )
        click.echo(f"{each:22} {first_line.lstrip('# ')}")


@click.command(
    cls=Command,
    epilog="""
    bigbird convert bigbr_base/model.ckpt-0 converted --to hugging_face
    bigbird convert models/bigbird-roberta-base converted --to model_garden
    bigbird convert runs/NAME/train/model converted --to hugging_face
    bigbird convert models/my-bert long-bert --to bigbird --max-length 4096
    bigbird run --task sst2 --data glue/SST-2 --vocabulary gpt2.model --init-checkpoint converted
    """,
)
@click.argument("source")
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", required=True, type=click.Choice(TARGETS), help="The kind to write.")
@click.option(
    "--heads",
    type=click.IntRange(min=1),
    help="Attention heads, where the source does not say.  [default: of google-research's one per 64 of the hidden size]",
)
@click.option("--params", help="YAML file with task.model.encoder.bigbird, laid over what the source says.")
@click.option(
    "--max-length",
    type=click.IntRange(min=1, max=MOST_TOKENS),
    help="Tokens of the longest input: a BERT's learnt positions are repeated up to it.  [default: the source's]",
)
@click.option("--overwrite", is_flag=True, help="Replaces an earlier conversion.")
def convert(
    source: str, output: Path, to: str, heads: int | None, params: str | None, max_length: int | None, overwrite: bool
) -> None:
    """Writes a checkpoint of any kind as another, no bit of a weight changed (float64 becomes float32).

    SOURCE is a model or checkpoint folder of ours, a TensorFlow checkpoint's prefix or folder (the Model Garden's or
    google-research's), or a Hugging Face folder or .safetensors file; local, gs:// or s3://. Its kind is recognised. OUTPUT
    is a new folder. Optimizer slots stay behind, and so does a head that the other kind computes differently.
    A BERT or RoBERTa of these becomes a BigBird.
    """
    from bigbird_pipelines.convert_command import convert_command

    options = {"num_heads": heads, "params": params, "max_length": max_length, "overwrite": overwrite}
    run_command(lambda: convert_command(source, output, to, **options))


@click.command(
    cls=Command,
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
    from bigbird_pipelines.submission import write_submission

    def write() -> None:
        names = write_submission(evaluations, output, partial=partial, overwrite=overwrite)
        click.echo(f"wrote {output}: {', '.join(names)}")

    run_command(write)
