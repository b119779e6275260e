"""The container image of each stage: by the commit it was built from, or by digest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bigbird.support.artifacts import read_json
from bigbird.support.errors import InputError
from bigbird.support.text_files import shown
from bigbird.version import UNKNOWN, revision
from bigbird_pipelines.team_settings import TeamSettings

Backend = Literal["tensorflow", "jax"]
Accelerator = Literal["cpu", "gpu", "tpu"]

PREFIX = "bigbird"
TRAINING_IMAGES: dict[Accelerator, dict[Backend, str]] = {
    "cpu": {"tensorflow": "train", "jax": "train"},
    "gpu": {"tensorflow": "train-gpu", "jax": "train-jax-gpu"},
    "tpu": {"tensorflow": "train-tpu", "jax": "train-jax-tpu"},
}
IN_THE_CLOUD = ("register", "serve", "preprocess_dataflow")
WITHOUT_S3 = ("train-tpu",)
"""Training images that cannot read s3://: their locks have no s3fs."""


@dataclass(frozen=True)
class Images:
    """What each stage runs in.

    The last three are needed in the cloud only, and may be empty where a file names the images: what registers models, what
    serves them, and Dataflow's workers.
    """

    preprocess: str
    train: str
    evaluate: str
    export: str
    register: str = ""
    serve: str = ""
    preprocess_dataflow: str = ""

    @classmethod
    def named(cls, prefix: str = PREFIX, tag: str = "", train: str = "train") -> Images:
        """`prefix`-preprocess:`tag` and so on, as `make images` names them.

        Args:
            prefix: what the names begin with; a registry and its folders go in here.
            tag: the commit that the images were built from; this code's own where empty.
            train: the training image, of `TRAINING_IMAGES`.

        Raises:
            InputError: the tag is latest, which may name other images later; or none is given and no commit is known.
        """
        tag = tag or revision()
        if tag == "latest":
            raise InputError(
                "--image-tag latest: may name other images later; expected the commit that the images are built from"
            )
        if tag == UNKNOWN:
            raise InputError(
                "the commit of this code is unknown: it lies in no git checkout that git may read. Name the images with "
                "--image-tag, and build them with make images TAG=…"
            )
        return cls(**{stage: f"{prefix}-{name}:{tag}" for stage, name in cls.names(train).items()})

    @classmethod
    def from_file(cls, file: Path, train: str = "train") -> Images:
        """The images that `make push` wrote to a file, each pinned by its digest.

        Raises:
            InputError: the file is not JSON, or names no image for a stage.
        """
        found, names = read_json(file, "images that `make push` wrote"), cls.names(train)
        named = found if isinstance(found, Mapping) else {}
        absent = [name for stage, name in names.items() if not named.get(name) and stage not in IN_THE_CLOUD]
        if absent:
            raise InputError(f"{file}: names no image for {', '.join(absent)}; expected what `make push` writes")
        images = {stage: named.get(name, "") for stage, name in names.items()}
        for stage, image in images.items():
            if not isinstance(image, str):
                raise InputError(f"{file}: {names[stage]} is {shown(image)}; expected the name of an image")
        return cls(**images)

    def need(self, stage: str, why: str) -> str:
        """The image of a stage that not every run has.

        Raises:
            InputError: it was not named; `why` says what asked for it.
        """
        image = str(getattr(self, stage))
        if not image:
            name = stage.replace("_", "-")
            raise InputError(
                f"no image {name} is named, which {why} needs; build and push it: "
                f'make images push REGISTRY=… IMAGES="preprocess train evaluate export {name} …"'
            )
        return image

    @classmethod
    def names(cls, train: str) -> dict[str, str]:
        """Stage to the name of its image, without prefix and tag."""
        return {stage: train if stage == "train" else stage.replace("_", "-") for stage in cls.__dataclass_fields__}

    def as_dict(self) -> dict[str, Any]:
        """Stage to image."""
        return asdict(self)

    def of_a_run_here(self) -> dict[str, Any]:
        """Stage to image, of the stages that a run on this machine has."""
        return {stage: image for stage, image in self.as_dict().items() if stage not in IN_THE_CLOUD}


def push_command(train: str, *, without: Collection[str]) -> str:
    """The command that builds and pushes what a run elsewhere needs.

    Args:
        train: the training image, of `TRAINING_IMAGES`.
        without: stages that it does not have.
    """
    names = [name for stage, name in Images.names(train).items() if stage not in without]
    return f'make images push REGISTRY=… IMAGES="{" ".join(names)}"'


def choose_images(prefix: str, tag: str, file: Path | None, train: str = "train") -> Images:
    """The images that a command's options name.

    Raises:
        InputError: they name none, or contradict each other.
    """
    if file is None:
        return Images.named(prefix, tag, train)
    if tag or prefix != PREFIX:
        raise InputError("--images is given with --image-prefix or --image-tag; expected one of them")
    return Images.from_file(file, train)


def images_from(settings: TeamSettings, train: str) -> Images:
    """The images that the settings name."""
    file = Path(settings.images) if settings.images else None
    return choose_images(settings.image_prefix or PREFIX, settings.image_tag, file, train)
