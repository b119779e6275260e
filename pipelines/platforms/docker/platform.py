"""The local Docker engine: each step is a container in its image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click

from bigbird.support.errors import InputError
from bigbird_pipelines.images import PREFIX, TRAINING_IMAGES, Backend, Images, choose_images, images_from
from bigbird_pipelines.platforms.local_steps import Place
from bigbird_pipelines.platforms.platform import Finding, LocalPlatform
from bigbird_pipelines.team_settings import TeamSettings


class Docker(LocalPlatform):
    """Containers of the local engine."""

    name = "docker"
    title = "Docker"
    flag_help = "Each step in its image, on the local Docker engine; `make images` first."
    about = "it is about containers"
    options: ClassVar = {
        "memory": click.option("--memory", default="", help='Most memory of a step\'s container, e.g. "8g".'),
        "gpus": click.option(
            "--gpus",
            is_flag=True,
            help="Containers get this machine's GPUs; trains in the image train-gpu or train-jax-gpu.",
        ),
        "image_prefix": click.option(
            "--image-prefix", default=PREFIX, show_default=True, help="Images are PREFIX-preprocess and so on."
        ),
        "image_tag": click.option("--image-tag", default="", help="Tag of the images.  [default: this code's commit]"),
        "images": click.option(
            "--images", type=click.Path(path_type=Path), help="File of `make push`: the images by digest."
        ),
    }
    examples: ClassVar = {"run": ("bigbird run --docker",), "doctor": ("bigbird doctor --target docker",)}

    def place(self, inputs: Sequence[Path], backend: Backend, options: Mapping[str, Any]) -> tuple[Place, Images]:
        """Containers that read the inputs, of the images and with the memory and GPUs that the options name."""
        from bigbird_pipelines.platforms.docker.containers import Containers

        train = TRAINING_IMAGES["gpu" if options["gpus"] else "cpu"][backend]
        images = choose_images(options["image_prefix"], options["image_tag"], options["images"], train)
        return Containers(images, inputs, memory=options["memory"], gpus=options["gpus"]), images

    def checks(self, settings: TeamSettings) -> Iterator[Finding]:
        """The engine, and the images that the options name, of which a run takes its own too."""
        from bigbird_pipelines.platforms.docker.containers import engine_findings

        try:
            images = images_from(settings, TRAINING_IMAGES["cpu"]["tensorflow"])
        except InputError as error:
            yield Finding("images", False, str(error), "make images builds those of this code")
            return
        yield from engine_findings(images.of_a_run_here())


PLATFORM = Docker()
