"""Command line of the evaluate stage."""

from __future__ import annotations

from typing import Literal

import click

from bigbird.console import load_tensorflow, run_command


@click.command(
    context_settings={"max_content_width": 110},
    epilog="Example: python -m components.evaluate --model out/model --dataset out/dataset --output out/evaluation",
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
@click.option("--overwrite", is_flag=True, help="Replace what the output folder holds.")
def main(
    model: str, dataset: str, output: str, split: str | None, checkpoint: Literal["best", "last"], overwrite: bool
) -> None:
    """Evaluate a trained model on a split of its dataset."""

    def command() -> None:
        load_tensorflow()
        from components.evaluate.evaluate import evaluate

        manifest = evaluate(model, dataset, output, split, checkpoint, overwrite)
        _summarise(manifest, output)

    run_command(command)


def _summarise(manifest: dict, output: str) -> None:
    """The result on stdout: metrics beside the best constant answer, and where the files lie."""
    print(
        f"{manifest['task']}, split {manifest['split']}: {manifest['examples']:,} examples, step {manifest['checkpoint']:,}"
    )
    if not manifest["labelled"]:
        print("the split has no labels: predictions only, no metrics")
    else:
        baseline = manifest["baseline"]
        print(f"  {'':<20}{'model':>10}  {baseline['description']}")
        for name, value in manifest["metrics"].items():
            other = baseline["metrics"].get(name)
            print(f"  {name:<20}{value:>10.4f}" + ("" if other is None else f"  {other:.4f}"))
    print(f"report: {output}/report.html")


if __name__ == "__main__":
    main()
