"""The recipes that come with the project, and finding the one a run is to use."""

from __future__ import annotations

from pathlib import Path

from bigbird.config import read_yaml
from bigbird.config.overrides import merge
from bigbird.support.errors import InputError
from bigbird.support.text_files import read_text
from bigbird.support.yaml_files import dump_yaml
from bigbird.tasks.registry import family_of_task

FOLDER = Path(__file__).parent / "experiments"


LARGE = FOLDER / "size" / "large.yaml"
_SUFFIX = "_large"


def recipe_names() -> list[str]:
    """Names that `recipe_text` takes, besides paths; the published recipes also with `_large`."""
    names = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    return [*names, *(f"{name}{_SUFFIX}" for name in names if not name.startswith(("small_", "sample_")))]


def recipe_text(name_or_file: str) -> str:
    """A recipe's YAML, given by its name here (`small_sst2`, `squad_v1_large`) or by a path.

    Raises:
        InputError: there is no such recipe or file, or it is not a YAML mapping.
    """
    if name_or_file not in recipe_names() or not name_or_file.endswith(_SUFFIX):
        return read_text(recipe_file(name_or_file), "a recipe in YAML")
    base = FOLDER / f"{name_or_file.removesuffix(_SUFFIX)}.yaml"
    return dump_yaml(merge(read_yaml(base), read_yaml(LARGE)))


def recipe_file(name_or_file: str) -> Path:
    """The file of a recipe, given by its name here or by a path; those of the base size.

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
    return family_of_task(task).recipe(task, published=bool(init_checkpoint))
