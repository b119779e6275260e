"""Command line of the registration stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bigbird.support.commands import run_command
from bigbird_components.command_line import Command


@click.command(
    cls=Command,
    context_settings={"max_content_width": 110},
    epilog="bigbird register --project P --location us-central1 --name sentiment \\\n"
    "  --saved-model gs://B/run/saved_model --evaluation out/evaluation --dataset out/dataset --serving-image IMAGE",
)
@click.option("--project", required=True, help="Google Cloud project of the registry.")
@click.option("--location", required=True, help="Location of the registry, as us-central1.")
@click.option("--name", required=True, help="Display name of the model that gets a version.")
@click.option(
    "--saved-model",
    required=True,
    help="Folder that the export stage wrote, here or in a bucket, such as gs://BUCKET/FOLDER.",
)
@click.option("--artifact-uri", help="The same folder as gs://BUCKET/FOLDER; default --saved-model.")
@click.option("--evaluation", required=True, help="Evaluation folder of the model.")
@click.option("--dataset", required=True, help="Dataset folder that was evaluated.")
@click.option("--serving-image", required=True, help="Image that answers requests, on port 8080.")
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="By how much the model must beat the default version to replace it, in fractions of 1.",
)
@click.option("--pipeline", default="", help="Pipeline job that made the model; one job registers once.")
@click.option("--output", help="File to write: registration.json.")
@click.option("--dry-run", is_flag=True, help="Compare, print what would be uploaded, and upload nothing.")
def main(output: str | None, name: str, artifact_uri: str | None, saved_model: str, **options: Any) -> None:
    """Registers an exported model in the Vertex AI Model Registry.

    A name's first version becomes its default; a later one if it beats the default on the same examples, and is a
    candidate else.
    """

    def command() -> None:
        from bigbird.support.artifacts import write_json
        from bigbird_components.register.register import register

        result = register(model_name=name, saved_model=saved_model, artifact_uri=artifact_uri or saved_model, **options)
        if options["dry_run"]:
            print(json.dumps(result, indent=2, ensure_ascii=False))
            return
        if output:
            Path(output).parent.mkdir(parents=True, exist_ok=True)
            write_json(output, result)
        _summarise(result)

    run_command(command)


def _summarise(result: dict[str, Any]) -> None:
    """The outcome on stdout."""
    metric, champion = result["metric"], result["champion"]
    print(f"{result['resource']}@{result['model_version']}: {result['alias']}")
    print(f"  {metric['name']} {metric['value']:.6f} on {result['split']}")
    if champion:
        print(
            f"  default before, version {champion['version']}: {champion['value']:.6f}, {champion['found']}; "
            f"margin {result['margin']:g}"
        )


if __name__ == "__main__":
    main()
