"""Command line of the evaluate stage."""

from __future__ import annotations

from typing import Literal

import click

from bigbird.manifests import EvaluationManifest
from bigbird.support.commands import run_command
from bigbird.support.precision import PRECISIONS, Precision
from bigbird.support.tensorflow_start import load_tensorflow
from bigbird_components.command_line import Command
from bigbird_components.evaluate.wording import interval_words, lower_is_better, verdict, with_interval


def _lengths(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """`512,1024` -> (512, 1024)."""
    parts = [part.strip() for part in value.split(",")] if value else []
    if wrong := [part for part in parts if not (part.isascii() and part.isdigit() and len(part) < 8)]:
        raise click.BadParameter(
            f"found {wrong[0][:40]!r}; expected whole numbers with commas between, such as 512,1024,2048"
        )
    return tuple(map(int, parts))


@click.command(
    cls=Command,
    context_settings={"max_content_width": 110},
    epilog="bigbird evaluate --model out/model --dataset out/dataset --output out/evaluation",
)
@click.option("--model", required=True, help="Model folder that training wrote.")
@click.option("--dataset", required=True, help="Dataset folder of the model's task and vocabulary.")
@click.option("--output", required=True, help="Folder to write: metrics.json, predictions, report.html.")
@click.option("--split", help="Split of the dataset; default its validation split.")
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="The best checkpoint by validation, or the last.",
)
@click.option(
    "--at-lengths",
    callback=_lengths,
    metavar="TOKENS",
    help="Evaluate also where the model may read less of each text, such as 512,1024,2048 tokens.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="What the model computes in; as it was trained by default.",
)
@click.option("--overwrite", is_flag=True, help="Replace what the output folder holds.")
def main(
    model: str,
    dataset: str,
    output: str,
    split: str | None,
    checkpoint: Literal["best", "last"],
    overwrite: bool,
    at_lengths: tuple[int, ...],
    precision: Precision | None,
) -> None:
    """Evaluates a trained model on a split of its dataset."""

    def command() -> None:
        load_tensorflow()
        from bigbird_components.evaluate.evaluate import evaluate

        manifest = evaluate(model, dataset, output, split, checkpoint, overwrite, at_lengths, precision)
        _summarise(manifest, output)

    run_command(command)


def _summarise(manifest: EvaluationManifest, output: str) -> None:
    """The result on stdout: metrics beside the best constant answer, and where the files lie."""
    print(f"{manifest.task}, split {manifest.split}: {manifest.examples:,} examples, step {manifest.checkpoint:,}")
    if not manifest.labelled:
        print("the split has no labels: predictions only, no metrics")
    else:
        print(*_metric_lines(manifest), sep="\n")
    print(f"report: {output}/report.html")


def _metric_lines(manifest: EvaluationManifest) -> list[str]:
    """The metrics of the model and of what it is compared with, in columns; then what they say."""
    (primary, baseline), comparisons = manifest.scored(), manifest.comparisons
    columns = {"model": manifest.metrics, "constant": baseline.metrics}
    columns |= {each.name: each.metrics for each in comparisons}
    first = max(20, 2 + max(map(len, manifest.metrics)))
    widths = {name: max(10, len(name) + 2) for name in columns}
    lines = [f"  {'':<{first}}" + "".join(f"{name:>{width}}" for name, width in widths.items())]
    for metric in manifest.metrics:
        cells = [
            f"{values[metric]:>{widths[name]}.4f}" if metric in values else f"{'-':>{widths[name]}}"
            for name, values in columns.items()
        ]
        lines.append(f"  {metric:<{first}}{''.join(cells)}")
    lines.append(f"constant: {baseline.description}")
    lines += [f"{each.name}: {each.description}; {each.seconds:.1f} s" for each in comparisons]
    if words := interval_words(manifest.interval, primary.name):
        lines.append(f"{primary.name} {primary.value:.4f}, {words}")
    if comparisons:
        lines.append(verdict(manifest, lower_is_better=lower_is_better(manifest.task, primary.name)))
    for length, at in manifest.at_lengths.items():
        value = at.metrics.get(primary.name)
        told = "not defined" if value is None else with_interval(value, at.interval, primary.name)
        lines.append(f"at {int(length):,} tokens: {primary.name} {told}")
    return lines


if __name__ == "__main__":
    main()
