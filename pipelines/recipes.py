"""The recipes that come with the project, and finding the one a run is to use."""

from __future__ import annotations

from pathlib import Path

from bigbird.config import read_yaml
from bigbird.errors import InputError
from bigbird.tasks.families import family

FOLDER = Path(__file__).parent / "experiments"


def recipe_names() -> list[str]:
    """Names that `recipe_file` takes, besides paths."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def recipe_file(name_or_file: str) -> Path:
    """The file of a recipe, given by its name here (`small_sst2`) or by a path.

    Raises:
        InputError: there is no such recipe or file, or it is not a YAML mapping.
    """
    own = FOLDER / f"{name_or_file}.yaml"
    file = own if own.exists() else Path(name_or_file)
    if not file.is_file():
        raise InputError(
            f"recipe {name_or_file!r}: no such file, nor one of the recipes here; expected a YAML file or one of "
            f"{', '.join(recipe_names())}"
        )
    read_yaml(file)
    return file


def default_recipe(task: str, init_checkpoint: str = "") -> str:
    """The published recipe where training starts from published weights, else one small enough for a laptop."""
    kind = family(task)
    if init_checkpoint:
        return {"glue": f"glue_{task}", "squad": task, "triviaqa": "triviaqa"}[kind]
    return f"small_{task}" if f"small_{task}" in recipe_names() else f"small_{kind}"
